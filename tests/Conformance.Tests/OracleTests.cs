namespace Moe.Plugins.Conformance.Tests;

public sealed class OracleTests
{
    /// <summary>Worked by hand from openai/gpt-oss' formula, to the digits that are written here.</summary>
    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(1, 0, 0.845796)]
    [InlineData(1, -1, 0)]
    [InlineData(8, 8, 55.999625)]
    [InlineData(7, -9, -41.999719)]
    [InlineData(-1, 2.5, -0.539715)]
    [InlineData(-20, 3, -1.3e-13)]
    public void SwiGlu_clamps_gate_above_and_up_on_both_sides(float gate, float up, double expected)
    {
        using var layer = new OneExpert(MoeActivation.SwiGluOai());
        Tensors.Write(layer.Tensors.GateUp.Bias, 0, [gate, up]);
        double actual = layer.Compute().Output(0).Span[0];
        Assert.Equal(expected, actual, Math.Abs(expected) < 1e-9 ? 1e-13 : 1e-6);
    }

    [Theory]
    [InlineData(1, 2, 1.4621171572600098)]
    [InlineData(20, -30, -599.9999987633079)]
    [InlineData(-1, 1, -0.2689414213699951)]
    public void SiluGated_clamps_nothing(float gate, float up, double expected)
    {
        using var layer = new OneExpert(MoeActivation.SiluGated);
        Tensors.Write(layer.Tensors.GateUp.Bias, 0, [gate, up]);
        Assert.Equal(expected, layer.Compute().Output(0).Span[0], 1e-9);
    }

    [Theory]
    [InlineData(nameof(MoeRouter.TopKThenSoftmax), 0.7310585786300049, 0.2689414213699951)]
    [InlineData(nameof(MoeRouter.SoftmaxThenTopK), 0.6652409557748218, 0.24472847105479764)]
    [InlineData(nameof(MoeRouter.SoftmaxThenTopKRenormalized), 0.7310585786300049, 0.2689414213699951)]
    public void Scoring_turns_logits_into_weights(string preset, double first, double second)
    {
        using var layer = new OneExpert(MoeActivation.SwiGluOai(), 3, 2, (MoeRouter)typeof(MoeRouter).GetProperty(preset)!.GetValue(null)!);
        Tensors.Write(layer.Tensors.RouterBias, 0, [0f, 2f, 1f]);
        Tensors.Write(layer.Tensors.Down.Bias, 1, [10f]);
        Tensors.Write(layer.Tensors.Down.Bias, 2, [100f]);
        OracleResult result = layer.Compute();
        Assert.Equal([1, 2], result.Routing.Ids(0).ToArray());
        Assert.Equal([first, second], result.Routing.Weights(0).ToArray().Select(weight => Math.Round(weight, 15)).ToArray(), (a, b) => Math.Abs(a - b) < 1e-12);
        Assert.Equal((first * 10) + (second * 100), result.Output(0).Span[0], 1e-9);
    }

    [Fact]
    public void Of_equal_logits_the_lowest_id_wins_and_nan_loses()
    {
        using var layer = new OneExpert(MoeActivation.SwiGluOai(), 6, 4);
        Tensors.Write(layer.Tensors.RouterBias, 0, [float.NaN, 1f, 3f, 1f, 3f, 1f]);
        Assert.Equal([2, 4, 1, 3], layer.Compute().Routing.Ids(0).ToArray());
    }

    [Theory]
    [InlineData(0, 3.673419846319648e-39)]
    [InlineData(127, 0.625)]
    [InlineData(254, 1.0633823966279327e38)]
    [InlineData(255, double.NaN)]
    public void Every_code_and_the_extreme_scales_are_read(byte scale, double expected)
    {
        // One expert that copies: down has the codes 0..15 twice in its first row, and every activation is 0.3125 / 8 of what they sum to.
        var shape = new MoeLayerShape { HiddenSize = 32, IntermediateSize = 32, ExpertCount = 1, TopK = 1, HasExpertBias = true, Router = MoeRouter.TopKThenSoftmax };
        using var layer = new RandomLayer(shape, 1);
        Zero(layer.Tensors.GateUp.Values);
        Zero(layer.Tensors.Down.Values);
        Zero(layer.Tensors.Down.Bias);

        // gate 0.5 and up −1 + 2 · i for input i would be clamped; what matters is one activation that is not 0.
        float[] gateUp = new float[64];
        for (int code = 0; code < 16; code++)
        {
            Write(layer, code, scale);
            Array.Clear(gateUp);
            gateUp[2 * code] = 100;
            gateUp[(2 * code) + 1] = 0;
            Tensors.Write(layer.Tensors.GateUp.Bias, 0, Tensors.BFloat16(gateUp));
            using MoeBuffer input = RandomInput.Create(1, 32, 1);
            double output = Compute(shape, layer.Source, input.View).Output(0).Span[0];

            // Activation of gate 7 (clamped) and up 0 is 7 · sigmoid(7 · 1.702).
            double activation = 7 / (1 + Math.Exp(-7 * (double)1.702f));
            double value = new[] { 0, .5, 1, 1.5, 2, 3, 4, 6 }[code & 7] * (code < 8 ? 1 : -1);
            Assert.Equal(value * (expected / 0.625) * activation, output, double.IsNaN(expected) ? 0 : Math.Max(double.Epsilon, Math.Abs(expected) * 1e-5));
        }
    }

    [Theory]
    [InlineData(MoeWeightFormat.BFloat16, true)]
    [InlineData(MoeWeightFormat.BFloat16, false)]
    [InlineData(MoeWeightFormat.Mxfp4, true)]
    public void A_random_layer_equals_a_loop_over_its_elements(MoeWeightFormat format, bool biases)
    {
        var shape = new MoeLayerShape
        {
            HiddenSize = 96,
            IntermediateSize = 64,
            ExpertCount = 5,
            TopK = 2,
            WeightFormat = format,
            HasExpertBias = biases,
            Router = MoeRouter.TopKThenSoftmax with { HasLogitBias = biases },
        };
        using var layer = new RandomLayer(shape, 3);
        using MoeBuffer input = RandomInput.Create(4, 96, 4);
        OracleResult result = Compute(shape, layer.Source, input.View);
        for (int token = 0; token < 4; token++)
        {
            double[] expected = PlainLoops.Compute(layer, Tensors.Single(input.View, token), result.Routing.Ids(token).ToArray(), result.Routing.Weights(token).ToArray());
            Assert.All(expected.Zip(result.Output(token).ToArray()), pair => Assert.Equal(pair.First, pair.Second, 1e-10));
        }
    }

    [Fact]
    public void Input_major_weights_are_the_same_layer_transposed()
    {
        MoeLayerShape shape = new() { HiddenSize = 40, IntermediateSize = 24, ExpertCount = 3, TopK = 2, WeightFormat = MoeWeightFormat.BFloat16 };
        using var first = new RandomLayer(shape, 5);
        using var second = new RandomLayer(shape, 5, MoeMatrixOrder.InputMajor);
        Transpose(first.Tensors.GateUp.Values, second.Tensors.GateUp.Values);
        Transpose(first.Tensors.Down.Values, second.Tensors.Down.Values);
        using MoeBuffer input = RandomInput.Create(7, 40, 6);
        OracleResult a = Compute(shape, first.Source, input.View);
        OracleResult b = Compute(shape, second.Source, input.View);
        Assert.All(Enumerable.Range(0, 7), token => Assert.Equal(a.Output(token).ToArray(), b.Output(token).ToArray()));
    }

    [Fact]
    public void No_tokens_are_no_output()
    {
        using var layer = new OneExpert(MoeActivation.SwiGluOai());
        OracleResult result = MoeOracle.Compute(layer.Shape, layer.Source, layer.Input, new OracleOptions { Tokens = [] }, TestContext.Current.CancellationToken);
        Assert.Empty(result.Tokens);
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        using var layer = new OneExpert(MoeActivation.SwiGluOai());
        using var wide = MoeBuffer.OnHost(MoeElementType.Float32, 1, 2);
        using var ids = MoeBuffer.OnHost(MoeElementType.Int32, 1, 1);
        Tensors.Write(ids.View, 0, [1]);
        Assert.Throws<ArgumentException>(() => Compute(layer.Shape, layer.Source, wide.View));
        Assert.Throws<ArgumentException>(() => Compute(layer.Shape, layer.Source, ids.View));
        Assert.Throws<ArgumentException>(() => Compute(layer.Shape, layer.Source, layer.Input, new OracleOptions { Tokens = [1] }));
        Assert.Throws<ArgumentException>(() => Compute(layer.Shape, layer.Source, layer.Input, new OracleOptions { TopKIds = ids.View }));
        Assert.Throws<ArgumentException>(() => Compute(layer.Shape, layer.Source with { RouterWeight = default }, layer.Input));
        Assert.Throws<MoeException>(() => Compute(layer.Shape with { TopK = 2 }, layer.Source, layer.Input));
    }

    private static OracleResult Compute(MoeLayerShape shape, MoeWeightSource source, MoeTensorView input, OracleOptions? options = null) =>
        MoeOracle.Compute(shape, source, input, options, TestContext.Current.CancellationToken);

    private static unsafe void Zero(MoeTensorView view) => new Span<byte>((void*)view.Address, checked((int)(view.Planes * view.PlaneStride))).Clear();

    private static unsafe void Write(RandomLayer layer, int code, byte scale)
    {
        byte* codes = (byte*)layer.Tensors.Down.Values.Address;
        codes[code / 2] = (byte)(code % 2 == 0 ? code : code << 4);
        *(byte*)layer.Tensors.Down.Scales.Address = scale;
    }

    private static unsafe void Transpose(MoeTensorView from, MoeTensorView to)
    {
        for (int plane = 0; plane < from.Planes; plane++)
        {
            for (int row = 0; row < from.Rows; row++)
            {
                for (int column = 0; column < from.Columns; column++)
                {
                    ((ushort*)to.RowAddress(column, plane))[row] = ((ushort*)from.RowAddress(row, plane))[column];
                }
            }
        }
    }
}
