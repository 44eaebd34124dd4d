namespace Moe.Plugins.GptOss;

/// <summary>Tokens that come next in one sequence of a batch.</summary>
public readonly record struct GptOssInput
{
    /// <summary>The text that they continue.</summary>
    public required GptOssSequence Sequence { get; init; }

    /// <summary>Their ids, at least one.</summary>
    public required ReadOnlyMemory<int> Tokens { get; init; }

    /// <summary>Whether logits are wanted after each of them; else after the last alone.</summary>
    public bool WantsAllLogits { get; init; }

    /// <summary>Rows of logits that it asks for.</summary>
    public int LogitRows => WantsAllLogits ? Tokens.Length : 1;
}
