namespace Moe.Plugins.Conformance;

/// <summary>How a batch is handed in.</summary>
internal sealed record ForwardOptions
{
    /// <summary>Elements of garbage behind each row of the input.</summary>
    public int InputGap { get; init; }

    /// <summary>Elements of garbage behind each row of what is written.</summary>
    public int OutputGap { get; init; }

    /// <summary>A choice of experts, [tokens, top-k] in host memory; null for the layer's router.</summary>
    public MoeBuffer? Ids { get; init; }

    /// <summary>The weights of that choice.</summary>
    public MoeBuffer? Weights { get; init; }

    /// <summary>The stream.</summary>
    public nint Stream { get; init; }
}
