namespace Moe.Plugins.Checkpoints;

/// <summary>What a caller knows about a model whose checkpoint does not say it. What the checkpoint does say counts first.</summary>
public sealed record CheckpointOptions
{
    /// <summary>Experts that each token goes to.</summary>
    public int? TopK { get; init; }

    /// <summary>The factor inside the activation's sigmoid.</summary>
    public float? SwiGluAlpha { get; init; }

    /// <summary>The activation's clamp.</summary>
    public float? SwiGluLimit { get; init; }

    internal void Validate(string name)
    {
        if (TopK is { } topK)
        {
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(topK, $"{name}.{nameof(TopK)}");
        }

        RequirePositive(SwiGluAlpha, $"{name}.{nameof(SwiGluAlpha)}");
        RequirePositive(SwiGluLimit, $"{name}.{nameof(SwiGluLimit)}");
    }

    private static void RequirePositive(float? value, string name)
    {
        if (!(value is null or > 0))
        {
            throw new ArgumentOutOfRangeException(name, value, "A positive number is expected.");
        }
    }
}
