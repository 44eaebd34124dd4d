namespace Moe.Plugins.GptOss;

/// <summary>When a text ends, and how its tokens are chosen.</summary>
public sealed record GptOssGeneration
{
    /// <summary>The most tokens; the context ends a text too.</summary>
    public int MaxTokens { get; init; } = int.MaxValue;

    /// <summary>Tokens that end the text; <see cref="HarmonyTokens.Stops"/> for an answer.</summary>
    public IReadOnlyCollection<int> Stops { get; init; } = [];

    /// <summary>Tokens that are never chosen.</summary>
    public IReadOnlyCollection<int> Banned { get; init; } = [];

    /// <summary>How tokens are chosen.</summary>
    public GptOssSampling Sampling { get; init; } = new();

    /// <exception cref="MoeException">A value is out of range.</exception>
    internal void Validate()
    {
        ArgumentNullException.ThrowIfNull(Stops);
        ArgumentNullException.ThrowIfNull(Banned);
        ArgumentNullException.ThrowIfNull(Sampling);
        Sampling.Validate();
        if (MaxTokens < 1)
        {
            throw new MoeException(MoeReason.Configuration, $"{nameof(MaxTokens)} is {MaxTokens}; at least 1 is expected.");
        }
    }
}
