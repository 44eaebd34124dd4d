namespace Moe.Plugins.Conformance;

/// <summary>Which part of a batch the oracle computes, who routes, and how activations are rounded.</summary>
public sealed record OracleOptions
{
    /// <summary>The tokens to compute, rows of the input in any order; null for all. A sample keeps large batches affordable.</summary>
    public IReadOnlyList<int>? Tokens { get; init; }

    /// <summary>
    /// [tokens of the input, top-k] int32 in host memory: experts that somebody else has chosen; empty lets the oracle choose.
    /// </summary>
    public MoeTensorView TopKIds { get; init; }

    /// <summary>
    /// [tokens of the input, top-k] float32 in host memory: the weights of <see cref="TopKIds"/>; empty lets the oracle weigh the
    /// experts by its own logits.
    /// </summary>
    public MoeTensorView TopKWeights { get; init; }

    /// <summary>[tokens of the input, 1] int32 in host memory: ids in the vocabulary, where the router looks experts up by them.</summary>
    public MoeTensorView TokenIds { get; init; }

    /// <summary>How the vectors are rounded that the experts' products multiply.</summary>
    public OracleActivations Activations { get; init; }
}
