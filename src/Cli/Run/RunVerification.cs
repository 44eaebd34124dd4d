using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli;

/// <summary>How right a result is.</summary>
internal sealed record RunVerification
{
    /// <summary>Multiplications in float64 that a check may cost, one second or two of a processor.</summary>
    private const double MultiplicationBudget = 3e9;

    private const int FewestTokens = 8;

    /// <summary>Tokens that were compared, spread over the batch.</summary>
    public required int TokenCount { get; init; }

    /// <summary>The result against float64.</summary>
    public required TensorDifference Difference { get; init; }

    /// <summary>The experts that were chosen against those that the float64 logits choose.</summary>
    public required RoutingDifference Routing { get; init; }

    /// <summary>The result against the file's own expectation, over all tokens; null where the file has none.</summary>
    public required TensorDifference? ExpectedDifference { get; init; }

    /// <summary>The error that the backend promises to stay below.</summary>
    public required double Limit { get; init; }

    /// <summary>Whether all of it is right. NaN never is.</summary>
    public bool Passed => Difference.RelativeError <= Limit
        && Routing.IsTie
        && (ExpectedDifference is null || ExpectedDifference.Value.RelativeError <= Limit);

    public static RunVerification Check(RunInput input, LayerRun run, double limit, CancellationToken cancellationToken)
    {
        var options = new OracleOptions { Tokens = Sample(input.Shape, input.Tokens.Rows) };
        OracleResult reference = Compute(options);
        RoutingDifference routing = RoutingDifference.Measure(run.TopKIds.View, reference);
        if (routing.TokenCount > 0 && routing.IsTie)
        {
            // Either choice is right: the output is held against the one that the backend made.
            reference = Compute(options with { TopKIds = run.TopKIds.View });
        }

        return new RunVerification
        {
            TokenCount = reference.Tokens.Count,
            Difference = TensorDifference.Measure(run.Output.View, reference),
            Routing = routing,
            ExpectedDifference = input.Expected.IsEmpty ? null : TensorDifference.Measure(run.Output.View, input.Expected),
            Limit = limit,
        };

        OracleResult Compute(OracleOptions options) => MoeOracle.Compute(input.Shape, input.Source, input.Tokens, options, cancellationToken);
    }

    private static int[] Sample(MoeLayerShape shape, int tokens)
    {
        double costOfOne = 3.0 * shape.TopK * shape.HiddenSize * shape.IntermediateSize;
        int count = (int)Math.Min(tokens, Math.Max(FewestTokens, MultiplicationBudget / costOfOne));
        return [.. Enumerable.Range(0, count).Select(i => (int)((long)i * tokens / count))];
    }
}
