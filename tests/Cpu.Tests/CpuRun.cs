using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>What a forward wrote.</summary>
internal sealed record CpuRun(GuardedTensor Output, GuardedTensor Ids, GuardedTensor Weights) : IDisposable
{
    public void CheckGuards()
    {
        Output.CheckGuards();
        Ids.CheckGuards();
        Weights.CheckGuards();
    }

    /// <summary>The output's bits.</summary>
    public byte[] Bits() => Output.ToArray<byte>();

    /// <summary>The same experts in the same order, their weights and the output as the oracle has them.</summary>
    public void CheckAgainst(OracleResult expected, double outputError)
    {
        for (int token = 0; token < expected.Tokens.Count; token++)
        {
            Assert.Equal(expected.Routing.Ids(token).ToArray(), Ids.Row<int>(token).ToArray());
            ReadOnlySpan<double> weights = expected.Routing.Weights(token).Span;
            for (int k = 0; k < weights.Length; k++)
            {
                Assert.Equal(weights[k], Weights.Row<float>(token)[k], 1e-6);
            }
        }

        TensorDifference difference = TensorDifference.Measure(Output.View, expected);
        Assert.True(
            difference.RelativeError < outputError,
            $"{expected.Shape}, {expected.Tokens.Count} tokens: the relative error is {difference.RelativeError:g3}, at most {difference.MaxAbsError:g3}.");
    }

    public void Dispose()
    {
        Output.Dispose();
        Ids.Dispose();
        Weights.Dispose();
    }
}
