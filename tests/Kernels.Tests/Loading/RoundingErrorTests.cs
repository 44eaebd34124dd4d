using Moe.Plugins.Conformance;
using Moe.Plugins.Cuda;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>
/// What weights are said to have lost on their way to BF16, against what lies on the device then: on a driver whose devices are the host's memory. MXFP4 is
/// widened by a kernel, which does not run there.
/// </summary>
public sealed class RoundingErrorTests : IDisposable
{
    private static readonly MoeWeightFormat[] Formats =
        [MoeWeightFormat.BFloat16, MoeWeightFormat.Float16, MoeWeightFormat.Float32, MoeWeightFormat.Fp8Block, MoeWeightFormat.Nvfp4];

    private readonly FakeLibraries _libraries = new();

    [Fact]
    public async Task What_is_kept_is_as_far_from_what_is_stored_as_the_weights_say()
    {
        Assert.SkipUnless(Nvrtc.TryLoad(null, out string? missing), $"needs NVRTC: {missing}");
        if (OwnProcess.Told is null)
        {
            (string name, string folder) = _libraries.WithDevice().SearchPath;
            string? others = Environment.GetEnvironmentVariable(name);
            await OwnProcess.RunAsync(
                nameof(What_is_kept_is_as_far_from_what_is_stored_as_the_weights_say), "", (name, others is null ? folder : $"{folder}:{others}"));
            return;
        }

        using CudaContext context = CudaContext.RetainPrimary(CudaDevice.Get(0));
        using var library = new KernelLibrary(context, new KernelCompiler(), typeof(Bf16Weights).Assembly);
        using CudaContextScope scope = context.MakeCurrent();
        foreach (MoeWeightFormat format in Formats)
        {
            var shape = new MoeLayerShape { HiddenSize = 96, IntermediateSize = 160, ExpertCount = 3, TopK = 2, WeightFormat = format };
            using var layer = new RandomLayer(shape, seed: 11);
            using Bf16Weights weights = Bf16Weights.Load(library, shape, layer.Source, progress: null, TestContext.Current.CancellationToken);
            (double errors, double squares) = Compare(weights.GateUp, layer.Tensors.GateUp, format);
            (double moreErrors, double moreSquares) = Compare(weights.Down, layer.Tensors.Down, format);
            double kept = Math.Sqrt((errors + moreErrors) / (squares + moreSquares));
            bool isRounded = format is MoeWeightFormat.Float32 or MoeWeightFormat.Float16 or MoeWeightFormat.Fp8Block;
            Assert.InRange(weights.RoundingError, isRounded ? 5e-4 : 0, isRounded ? 3e-3 : 0);
            Assert.Equal(kept, weights.RoundingError, 1e-6 * kept);
            Assert.Equal(StoredWeights.ErrorInBFloat16(layer.Tensors.GateUp, layer.Tensors.Down, format), weights.RoundingError, 1e-6 * kept);
        }
    }

    public void Dispose() => _libraries.Dispose();

    /// <summary>‖stored − kept‖² and ‖stored‖².</summary>
    private static unsafe (double Errors, double Squares) Compare(Bf16Matrix kept, RandomMatrix stored, MoeWeightFormat format)
    {
        double errors = 0, squares = 0;
        long index = 0;
        foreach (double weight in StoredWeights.Read(stored, format))
        {
            long row = index / kept.Inputs;
            double global = stored.GlobalScales.IsEmpty ? 1 : StoredWeights.Element(stored.GlobalScales, 0, 0, (int)(row / kept.Rows));
            double factor = kept.Factors == 0 ? 1 : ((float*)kept.Factors)[row];
            double error = (weight * global) - (BFloat16.ToSingle(((ushort*)kept.Weight)[index]) * factor);
            errors += error * error;
            squares += weight * global * weight * global;
            index++;
        }

        return (errors, squares);
    }
}
