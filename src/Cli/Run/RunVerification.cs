using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli;

/// <summary>How right a result is.</summary>
internal sealed record RunVerification
{
    /// <summary>Multiplications in float64 that a check may cost.</summary>
    private const double MultiplicationBudget = 3e9;

    /// <summary>The result against float64.</summary>
    public required OutputCheck Float64 { get; init; }

    /// <summary>The result against the file's own expectation, over all tokens; null where the file has none.</summary>
    public required TensorDifference? ExpectedDifference { get; init; }

    /// <summary>Values of the output that the backend never wrote.</summary>
    public required long UnwrittenValues { get; init; }

    /// <summary>Whether all of it was compared and is right.</summary>
    public bool Passed => UnwrittenValues == 0 && Float64.Passed && (ExpectedDifference is not TensorDifference expected || expected.RelativeError <= Float64.Limit);

    public static RunVerification Check(RunInput input, LayerRun run, double limit, CancellationToken cancellationToken)
    {
        var batch = new LayerBatch(input.Tokens, run.Output.View, run.TopKIds.View);
        return new RunVerification
        {
            Float64 = OutputCheck.Create(input.Shape, input.Source, batch, limit, MultiplicationBudget, cancellationToken),
            UnwrittenValues = Poison.CountLeft(run.Output.View),
            ExpectedDifference = input.Expected.IsEmpty ? null : TensorDifference.Measure(run.Output.View, input.Expected),
        };
    }
}
