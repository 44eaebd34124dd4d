using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>Router programs where a mistake shows only with such scores as few layers have, by the backend and by the oracle.</summary>
public sealed class WorkedRouterTests
{
    private static readonly MoeRouter Sigmoid = new() { Score = MoeRouterScore.Sigmoid, Renormalize = true };

    /// <summary>Chosen weights so small that what is added to their sum, or their least sum, decides.</summary>
    public static TheoryData<MoeRouter, double[], double[]> Vanishing() => new()
    {
        { Sigmoid, [-14, -15, -16, -17], [Logistic(-14) / (Logistic(-14) + Logistic(-15)), Logistic(-15) / (Logistic(-14) + Logistic(-15))] },
        {
            Sigmoid with { Epsilon = 1e-6f },
            [-14, -15, -16, -17],
            [Logistic(-14) / (Logistic(-14) + Logistic(-15) + 1e-6f), Logistic(-15) / (Logistic(-14) + Logistic(-15) + 1e-6f)]
        },
        {
            Sigmoid with { Epsilon = 1e-6f, EpsilonIsFloor = true },
            [-16, -17, -18, -19],
            [Logistic(-16) / 1e-6f, Logistic(-17) / 1e-6f]
        },
        { Sigmoid with { Epsilon = 1e-20f }, [-200, -201, -202, -203], [0, 0] },
    };

    [Theory]
    [MemberData(nameof(Vanishing))]
    public void What_is_added_to_a_sum_that_vanishes_counts(MoeRouter router, double[] logits, double[] expected)
    {
        (int[] ids, float[] weights) = Route(router, logits, selectionBias: [], topK: 2);

        Assert.Equal([0, 1], ids);
        for (int k = 0; k < expected.Length; k++)
        {
            Assert.Equal(expected[k], weights[k], 1e-5 * expected[k]);
        }
    }

    [Fact]
    public void A_group_that_is_left_out_never_wins_though_every_score_is_negative()
    {
        MoeRouter router = Sigmoid with { GroupCount = 4, TopGroups = 2, HasSelectionBias = true };
        (int[] ids, _) = Route(router, [3, 2, -1, -1, 1, 0, -3, -3], [-2, -2, -2, -2, -2, -2, -2, -2], topK: 3);

        Assert.Equal([0, 1, 4], ids);
    }

    [Fact]
    public void A_selection_bias_is_not_rounded()
    {
        // GLM-5.2's lies in [6.817, 7.063], where BF16 has eight values: these four are one of them.
        (int[] ids, _) = Route(Sigmoid with { HasSelectionBias = true }, [0, 0, 0, 0], [6.995f, 7.001f, 6.998f, 7.004f], topK: 2);

        Assert.Equal([3, 1], ids);
    }

    /// <summary>Kimi-K3 has 896 experts, Nemotron-3 chooses 22.</summary>
    [Fact]
    public void There_may_be_896_experts_and_22_of_them_chosen()
    {
        var shape = new MoeLayerShape
        {
            HiddenSize = 32,
            IntermediateSize = 32,
            ExpertCount = 896,
            TopK = 22,
            Activation = MoeActivation.SiluGated,
            HasExpertBias = false,
            Router = Sigmoid with { HasSelectionBias = true },
        };
        using var random = new RandomLayer(shape, seed: 3);
        using MoeBuffer input = RandomInput.Create(9, shape.HiddenSize, seed: 4);
        using var layer = new CpuLayer(shape, random.Source);
        using CpuRun run = layer.Run(input.View);

        run.CheckAgainst(MoeOracle.Compute(shape, random.Source, input.View, cancellationToken: TestContext.Current.CancellationToken), 2 * Tolerance.Float32);
    }

    private static double Logistic(double x) => 1 / (1 + Math.Exp(-x));

    /// <summary>Experts and weights of one token with these logits, which the oracle must have too.</summary>
    private static (int[] Ids, float[] Weights) Route(MoeRouter router, double[] logits, float[] selectionBias, int topK)
    {
        var shape = new MoeLayerShape
        {
            HiddenSize = 32,
            IntermediateSize = 32,
            ExpertCount = logits.Length,
            TopK = topK,
            Activation = MoeActivation.SiluGated,
            HasExpertBias = false,
            Router = router,
        };
        using var random = new RandomLayer(shape, seed: 1);
        for (int expert = 0; expert < logits.Length; expert++)
        {
            Span<ushort> row = Tensors.Row<ushort>(random.Tensors.RouterWeight, expert);
            row.Clear();
            row[0] = Tensors.BFloat16((float)logits[expert]);
        }

        if (router.HasSelectionBias)
        {
            selectionBias.CopyTo(Tensors.Row<float>(random.Tensors.SelectionBias, 0));
        }

        using MoeBuffer input = MoeBuffer.OnHost(MoeElementType.Float32, 1, shape.HiddenSize);
        Tensors.Row<float>(input.View, 0).Clear();
        Tensors.Row<float>(input.View, 0)[0] = 1;
        using var layer = new CpuLayer(shape, random.Source);
        using CpuRun run = layer.Run(input.View);
        OracleResult oracle = MoeOracle.Compute(shape, random.Source, input.View, cancellationToken: TestContext.Current.CancellationToken);
        (int[] ids, float[] weights) = (run.Ids.ToArray<int>(), run.Weights.ToArray<float>());
        Assert.Equal(oracle.Routing.Ids(0).ToArray(), ids);
        for (int k = 0; k < topK; k++)
        {
            double expected = oracle.Routing.Weights(0).Span[k];
            Assert.Equal(expected, weights[k], Math.Max(1e-30, 1e-5 * expected));
        }

        return (ids, weights);
    }
}
