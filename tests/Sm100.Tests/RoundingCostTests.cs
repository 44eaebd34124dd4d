using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>What rounding activations to MXFP8 costs against exact ones, on data without outliers.</summary>
public sealed class RoundingCostTests(ITestOutputHelper output)
{
    private const double Most = 4e-2;
    private const int Tokens = 6;

    private static readonly MoeLayerShape Shape = new() { HiddenSize = 2880, IntermediateSize = 2880, ExpertCount = 4, TopK = 2 };

    [Fact]
    public void Normal_activations_cost_little()
    {
        using var weights = new RandomLayer(Shape, seed: 5);
        using MoeBuffer input = Normal();
        OracleResult exact = Compute(weights, input, OracleActivations.Exact);
        OracleResult rounded = Compute(weights, input, OracleActivations.Mxfp8);

        double difference = 0;
        double all = 0;
        for (int token = 0; token < Tokens; token++)
        {
            foreach ((double one, double other) in exact.Output(token).ToArray().Zip(rounded.Output(token).ToArray()))
            {
                difference += (one - other) * (one - other);
                all += one * one;
            }
        }

        double cost = Math.Sqrt(difference / all);
        output.WriteLine($"{cost:0.0e0}");
        Assert.InRange(cost, 1e-2, Most);
    }

    [Fact]
    public void A_layer_of_normal_activations_is_that_near()
    {
        Sm100.Host.RequireDevice();
        using var weights = new RandomLayer(Shape, seed: 5);
        using MoeBuffer input = Normal();
        using MoeLayer layer = Sm100.Host.CreateLayer(Shape, weights.Source, Tokens, "auto");
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, input.View);

        TensorDifference difference = TensorDifference.Measure(run.Output.View, Compute(weights, input, OracleActivations.Exact));
        output.WriteLine($"{difference.RelativeError:0.0e0}");
        Assert.InRange(difference.RelativeError, 1e-2, Most);
    }

    private static OracleResult Compute(RandomLayer weights, MoeBuffer input, OracleActivations activations) => MoeOracle.Compute(
        Shape, weights.Source, input.View, options: new OracleOptions { Activations = activations }, cancellationToken: TestContext.Current.CancellationToken);

    private static unsafe MoeBuffer Normal()
    {
        var tensor = MoeBuffer.OnHost(MoeElementType.BFloat16, Tokens, Shape.HiddenSize);
        var random = new Random(11);
        foreach (ref ushort value in new Span<ushort>((void*)tensor.View.Address, Tokens * Shape.HiddenSize))
        {
            // Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958.
            double normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
            value = BFloat16.FromDouble(normal);
        }

        return tensor;
    }
}
