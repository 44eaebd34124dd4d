using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>Codes, scale factors and activations at the edges of their formats.</summary>
public sealed class SpecialValueTests
{
    private const int Experts = 4;
    private const int Tokens = 9;

    private static readonly MoeLayerShape Shape = new() { HiddenSize = 96, IntermediateSize = 160, ExpertCount = Experts, TopK = 1 };

    [Fact]
    public void Each_of_the_sixteen_codes_has_its_value()
    {
        // OCP Microscaling Formats v1.0, table 2 (E2M1): sign, two bits of exponent with bias 1, one of mantissa.
        float[] values = [0, 0.5f, 1, 1.5f, 2, 3, 4, 6, 0, -0.5f, -1, -1.5f, -2, -3, -4, -6];
        MoeLayerShape shape = Shape with { HiddenSize = 32, IntermediateSize = 32, HasExpertBias = false, Activation = MoeActivation.SiluGated };
        for (int code = 0; code < values.Length; code++)
        {
            using var random = new RandomLayer(shape, seed: 1);
            for (int expert = 0; expert < Experts; expert++)
            {
                // Gate and up take the first input times 1; each output is the first neuron times the code, low nibble or high.
                SetRows(random.Tensors.GateUp, expert, 64, block: 0, firstByte: 0x02);
                SetRows(random.Tensors.Down, expert, 32, block: 0, firstByte: expert % 2 == 0 ? (byte)code : (byte)(code << 4));
            }

            using var input = MoeBuffer.OnHost(MoeElementType.Float32, 4, 32);
            input.Fill(0);
            for (int token = 0; token < 4; token++)
            {
                Tensors.Row<float>(input.View, token)[0] = 1;
            }

            using var layer = new CpuLayer(shape, random.Source);
            using CpuRun routing = Routed(input.View.Rows, 0, 1, 2, 3);
            using CpuRun run = layer.Run(input.View, routing);
            float activation = 1 / (1 + MathF.Exp(-1));
            Assert.All(run.Output.ToArray<float>(), value => Assert.Equal(values[code] * activation, value, 1e-5f));
        }
    }

    [Theory]
    [InlineData(0, 1e35f)]
    [InlineData(1, 1e35f)]
    [InlineData(253, 1e-36f)]
    [InlineData(254, 1e-36f)]
    public void The_smallest_and_largest_scale_factors_are_the_oracle_s(byte scale, float magnitude)
    {
        using var random = new RandomLayer(Shape, seed: 2);
        FillScales(random.Tensors.GateUp, scale);
        using MoeBuffer input = Input(magnitude);
        CheckRouted(random, input.View);
    }

    [Fact]
    public void A_NaN_scale_factor_of_gate_up_spoils_the_tokens_of_that_expert_alone()
    {
        using var random = new RandomLayer(Shape, seed: 3);
        Tensors.Row<byte>(random.Tensors.GateUp.Scales, row: 77, plane: 2)[1] = 255;
        using MoeBuffer input = Input(1);
        using CpuRun run = CheckRouted(random, input.View);
        for (int token = 0; token < Tokens; token++)
        {
            Assert.All(run.Output.Row<float>(token).ToArray(), value => Assert.Equal(token % Experts == 2, float.IsNaN(value)));
        }
    }

    [Fact]
    public void A_NaN_scale_factor_of_down_spoils_that_output_alone()
    {
        using var random = new RandomLayer(Shape, seed: 4);
        Tensors.Row<byte>(random.Tensors.Down.Scales, row: 50, plane: 1)[4] = 255;
        using MoeBuffer input = Input(1);
        using CpuRun run = CheckRouted(random, input.View);
        for (int token = 0; token < Tokens; token++)
        {
            for (int i = 0; i < Shape.HiddenSize; i++)
            {
                Assert.Equal(token % Experts == 1 && i == 50, float.IsNaN(run.Output.Row<float>(token)[i]));
            }
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    [InlineData(-0f)]
    public void A_special_input_touches_its_own_token_alone(float special)
    {
        foreach (MoeActivation activation in new[] { MoeActivation.SwiGluOai(), MoeActivation.SiluGated })
        {
            MoeLayerShape shape = Shape with { Activation = activation };
            using var random = new RandomLayer(shape, seed: 5);
            using MoeBuffer input = Input(1);
            Tensors.Row<float>(input.View, 4)[17] = special;
            using CpuRun run = CheckRouted(random, input.View);
            using var layer = new CpuLayer(shape, random.Source);
            using CpuRun own = layer.Run(input.View);
            own.CheckAgainst(Compute(random, input.View, null), Tolerance.Float32);
        }
    }

    [Theory]
    [InlineData(15)]
    [InlineData(17)]
    public void An_infinite_input_that_the_clamp_makes_finite_stays_so_with_an_odd_intermediate_size(int intermediate)
    {
        MoeLayerShape shape = Shape with { IntermediateSize = intermediate, WeightFormat = MoeWeightFormat.BFloat16 };
        using var random = new RandomLayer(shape, seed: 7);
        for (int expert = 0; expert < Experts; expert++)
        {
            for (int row = 0; row < 2 * intermediate; row++)
            {
                Tensors.Row<ushort>(random.Tensors.GateUp.Values, row, expert)[17] = Tensors.BFloat16(1);
            }
        }

        using MoeBuffer input = Input(1);
        Tensors.Row<float>(input.View, 4)[17] = float.PositiveInfinity;
        using CpuRun run = CheckRouted(random, input.View);
        Assert.All(run.Output.ToArray<float>(), value => Assert.True(float.IsFinite(value)));
    }

    [Fact]
    public void An_expert_whose_router_row_is_NaN_is_chosen_last()
    {
        foreach (MoeRouter router in new[] { MoeRouter.TopKThenSoftmax, MoeRouter.SoftmaxThenTopK, MoeRouter.SoftmaxThenTopKRenormalized })
        {
            MoeLayerShape shape = Shape with { TopK = 2, Router = router with { HasLogitBias = true } };
            using var random = new RandomLayer(shape, seed: 6);
            Tensors.Row<ushort>(random.Tensors.RouterWeight, 1)[3] = Tensors.BFloat16(float.NaN);
            using MoeBuffer input = Input(1);
            using var layer = new CpuLayer(shape, random.Source);
            using CpuRun run = layer.Run(input.View);
            OracleResult expected = Compute(random, input.View, null);
            if (router.Weights == MoeRouterWeights.SoftmaxOfChosen)
            {
                run.CheckAgainst(expected, Tolerance.Float32);
            }
            else
            {
                // A softmax over all experts is NaN where one logit is.
                Assert.All(run.Output.ToArray<float>(), value => Assert.True(float.IsNaN(value)));
                Assert.True(double.IsNaN(expected.Output(0).Span[0]));
            }

            Assert.DoesNotContain(1, run.Ids.ToArray<int>());
        }
    }

    private static void SetRows(RandomMatrix matrix, int expert, int rows, int block, byte firstByte)
    {
        for (int row = 0; row < rows; row++)
        {
            Tensors.Row<byte>(matrix.Values, row, expert).Clear();
            Tensors.Row<byte>(matrix.Values, row, expert)[block * 16] = firstByte;
            Tensors.Row<byte>(matrix.Scales, row, expert).Fill(127);
        }
    }

    private static void FillScales(RandomMatrix matrix, byte scale)
    {
        for (int expert = 0; expert < Experts; expert++)
        {
            for (int row = 0; row < matrix.Scales.Rows; row++)
            {
                Tensors.Row<byte>(matrix.Scales, row, expert).Fill(scale);
            }
        }
    }

    /// <summary>Float32 activations, [9, hidden], that are never 0.</summary>
    private static MoeBuffer Input(float magnitude)
    {
        var input = MoeBuffer.OnHost(MoeElementType.Float32, Tokens, Shape.HiddenSize);
        for (int token = 0; token < Tokens; token++)
        {
            for (int i = 0; i < Shape.HiddenSize; i++)
            {
                Tensors.Row<float>(input.View, token)[i] = magnitude * MathF.Cos((token * 31) + (i * 1.7f));
            }
        }

        return input;
    }

    /// <summary>Token t goes to the t-th of the experts, in turn.</summary>
    private static CpuRun Routed(int tokens, params int[] experts)
    {
        var routing = new CpuRun(
            new GuardedTensor(MoeElementType.Float32, 0, 1),
            new GuardedTensor(MoeElementType.Int32, tokens, 1),
            new GuardedTensor(MoeElementType.Float32, tokens, 1));
        for (int token = 0; token < tokens; token++)
        {
            routing.Ids.Row<int>(token)[0] = experts[token % experts.Length];
            routing.Weights.Row<float>(token)[0] = 1;
        }

        return routing;
    }

    private static CpuRun CheckRouted(RandomLayer random, MoeTensorView input)
    {
        using CpuRun routing = Routed(Tokens, 0, 1, 2, 3);
        using var layer = new CpuLayer(random.Shape, random.Source);
        CpuRun run = layer.Run(input, routing);
        OracleResult expected = Compute(random, input, new OracleOptions { TopKIds = routing.Ids.View, TopKWeights = routing.Weights.View });
        run.CheckAgainst(expected, Tolerance.Float32);
        return run;
    }

    private static OracleResult Compute(RandomLayer random, MoeTensorView input, OracleOptions? options) =>
        MoeOracle.Compute(random.Shape, random.Source, input, options, TestContext.Current.CancellationToken);
}
