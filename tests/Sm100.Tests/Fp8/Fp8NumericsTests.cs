using System.Globalization;
using Moe.Plugins.Checkpoints;
using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>What FP8 tensor cores lose beyond MXFP8, written out for each golden file and for tokens with channels of outliers.</summary>
/// <remarks>The variable <see cref="TableVariable"/> names a file that gets the rows of docs/cuda.md's table.</remarks>
public sealed class Fp8NumericsTests
{
    private const string TableVariable = "MOE_NUMERICS_TABLE";

    public static TheoryData<string, string> Files() => TestCases.Golden([CudaHost.Auto]);

    [Theory]
    [MemberData(nameof(Files))]
    public void A_golden_file_comes_out_as_expected(string file, string kernels)
    {
        Sm100.Fp8.RequireDevice();
        using Checkpoint checkpoint = Checkpoint.Open(Path.Combine(AppContext.BaseDirectory, "golden", file));
        CheckpointLayer weights = checkpoint.MoeLayers[0];
        Assert.SkipUnless(weights.Shape.WeightFormat == MoeWeightFormat.Mxfp4, "its weights are no MXFP4");
        using MoeBuffer input = checkpoint.ReadTensor("input");
        using MoeBuffer expected = checkpoint.ReadTensor("expected.output");
        Errors fp8 = Run(Sm100.Fp8, weights.Shape, weights.Source, input.View, kernels, expected.View);
        Check(file, fp8, Run(Sm100.Host, weights.Shape, weights.Source, input.View, kernels, expected.View));
    }

    /// <summary>A channel of 32 is so much larger than the others.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(64)]
    [InlineData(4096)]
    [InlineData(262144)]
    public unsafe void Tokens_with_outliers_lose_no_more_than_is_promised(int times)
    {
        Sm100.Fp8.RequireDevice();
        MoeLayerShape shape = new() { HiddenSize = 2880, IntermediateSize = 2880, ExpertCount = 4, TopK = 2 };
        using var weights = new RandomLayer(shape, seed: 4);
        using MoeBuffer input = RandomInput.Create(40, shape.HiddenSize, seed: 5);
        for (int row = 0; row < input.View.Rows; row++)
        {
            var values = new Span<ushort>((void*)input.View.RowAddress(row), shape.HiddenSize);
            for (int i = 7; i < values.Length; i += 640)
            {
                values[i] = BFloat16.FromDouble(BFloat16.ToSingle(values[i]) * times);
            }
        }

        Errors fp8 = Run(Sm100.Fp8, shape, weights.Source, input.View, CudaHost.Auto, default);
        Check($"outliers × {times}", fp8, Run(Sm100.Host, shape, weights.Source, input.View, CudaHost.Auto, default));
    }

    /// <summary>The first forward of all: the first product's blocks begin while the launch before it still brings many rows, and their scales, into order.</summary>
    [Fact]
    public void A_first_forward_waits_for_the_scales_of_its_rows()
    {
        Sm100.Fp8.RequireDevice();
        MoeLayerShape shape = new() { HiddenSize = 2880, IntermediateSize = 128, ExpertCount = 4, TopK = 4 };
        using var weights = new RandomLayer(shape, seed: 6);
        using MoeBuffer input = RandomInput.Create(1024, shape.HiddenSize, seed: 7);
        Errors fp8 = Run(Sm100.Fp8, shape, weights.Source, input.View, CudaHost.Auto, default);
        Assert.True(fp8.Mxfp8 <= Fp8ForwardTests.Fp8Tolerance, $"{fp8.Mxfp8:0.0e0} from the oracle that rounds to MXFP8");
    }

    private static void Check(string name, Errors fp8, Errors widened)
    {
        string line = string.Create(
            CultureInfo.InvariantCulture,
            $"| {name} | {fp8.Mxfp8:0.0e0} | {widened.Mxfp8:0.0e0} | {fp8.Exact:0.0e0} | {widened.Exact:0.0e0} |");
        TestContext.Current.TestOutputHelper?.WriteLine(line);
        if (Environment.GetEnvironmentVariable(TableVariable) is { Length: > 0 } file)
        {
            File.AppendAllLines(file, [line]);
        }

        Assert.True(fp8.Mxfp8 <= Fp8ForwardTests.Fp8Tolerance, $"{name}: {fp8.Mxfp8:0.0e0} from the oracle that rounds to MXFP8");
        // What MXFP8 itself loses on such tokens is not for these kernels to make up.
        Assert.True(fp8.Exact <= Math.Max(fp8.Promised, 1.05 * widened.Exact), $"{name}: {fp8.Exact:0.0e0}");
    }

    private static Errors Run(CudaHost host, MoeLayerShape shape, MoeWeightSource source, MoeTensorView input, string kernels, MoeTensorView expected)
    {
        using MoeLayer layer = host.CreateLayer(shape, source, input.Rows, kernels);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, input);
        double exact = expected.IsEmpty
            ? Against(OracleActivations.Exact)
            : TensorDifference.Measure(run.Output.View, expected).RelativeError;
        return new Errors(Against(OracleActivations.Mxfp8), exact, layer.Method.Numerics.RelativeError);

        double Against(OracleActivations activations)
        {
            var options = new OracleOptions { TopKIds = run.Ids.View, Activations = activations };
            return TensorDifference.Measure(
                run.Output.View, MoeOracle.Compute(shape, source, input, options, TestContext.Current.CancellationToken)).RelativeError;
        }
    }

    /// <summary>Relative errors against the oracle that rounds as MXFP8 does, and against exact arithmetic; and what the method promises.</summary>
    private sealed record Errors(double Mxfp8, double Exact, double Promised);
}
