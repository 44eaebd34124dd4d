using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli;

/// <summary>How large the error of a layer's output is, on a sample of its tokens.</summary>
internal sealed record OutputCheck
{
    private const int FewestTokens = 8;

    /// <summary>Tokens that were compared, spread over the batch.</summary>
    public required int TokenCount { get; init; }

    /// <summary>The result against float64.</summary>
    public required TensorDifference Difference { get; init; }

    /// <summary>The experts that were chosen against those that the float64 logits choose.</summary>
    public required RoutingDifference Routing { get; init; }

    /// <summary>The error that the backend promises to stay below.</summary>
    public required double Limit { get; init; }

    /// <summary>What was computed in float64.</summary>
    public required OracleResult Reference { get; init; }

    /// <summary>Whether it was compared and is right. An error of NaN, where no number was left to compare, is not.</summary>
    public bool Passed => Difference.RelativeError <= Limit && Routing.IsTie;

    /// <summary>Computes the sample in float64 and compares.</summary>
    /// <param name="shape">The layer.</param>
    /// <param name="source">Its tensors.</param>
    /// <param name="batch">What went in and came out, in host memory.</param>
    /// <param name="limit">The error that the backend promises to stay below.</param>
    /// <param name="multiplications">Multiplications in float64 that the check may cost; 3·10⁹ are one second or two of a processor.</param>
    /// <param name="cancellationToken">Ends the computation early.</param>
    public static OutputCheck Create(
        MoeLayerShape shape,
        MoeWeightSource source,
        LayerBatch batch,
        double limit,
        double multiplications,
        CancellationToken cancellationToken)
    {
        var options = new OracleOptions { Tokens = Sample(shape, batch.Input.Rows, multiplications) };
        OracleResult reference = MoeOracle.Compute(shape, source, batch.Input, options, cancellationToken);
        RoutingDifference routing = RoutingDifference.Measure(batch.TopKIds, reference);
        if (routing.TokenCount > 0 && routing.IsTie)
        {
            // Either choice is right: the output is held against the one that the backend made.
            reference = MoeOracle.Compute(shape, source, batch.Input, options with { TopKIds = batch.TopKIds }, cancellationToken);
        }

        return new OutputCheck
        {
            TokenCount = reference.Tokens.Count,
            Difference = TensorDifference.Measure(batch.Output, reference),
            Routing = routing,
            Limit = limit,
            Reference = reference,
        };
    }

    /// <summary>Whether another output of the same tokens, by the same experts, is right as well.</summary>
    public bool Holds(MoeTensorView output) => TensorDifference.Measure(output, Reference).RelativeError <= Limit;

    /// <summary>Tokens from the first to the last, evenly spread.</summary>
    private static int[] Sample(MoeLayerShape shape, int tokens, double multiplications)
    {
        double costOfOne = 3.0 * shape.TopK * shape.HiddenSize * shape.IntermediateSize;
        int count = (int)Math.Min(tokens, Math.Max(FewestTokens, multiplications / costOfOne));
        return [.. Enumerable.Range(0, count).Select(i => count == 1 ? 0 : (int)((long)i * (tokens - 1) / (count - 1)))];
    }
}
