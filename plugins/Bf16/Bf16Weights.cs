using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>A layer's weights on the device, in the one layout that all of the backend's kernels read.</summary>
internal sealed class Bf16Weights : CudaWeights
{
    private Bf16Weights(CudaContext context, MoeLayerShape shape, MoeWeightSource source)
        : base(context, shape, source)
    {
        GateUp = Add(new Bf16Matrix(context, shape.ExpertCount, 2 * shape.IntermediateSize, shape.HiddenSize));
        Down = Add(new Bf16Matrix(context, shape.ExpertCount, shape.HiddenSize, shape.IntermediateSize));
        if (context.Device.Architecture.HasWgmma)
        {
            GateUpTiles = WgmmaTiles.OfGateUp(GateUp, shape.ExpertCount);
            DownTiles = WgmmaTiles.OfDown(Down, shape.ExpertCount);
        }
    }

    public Bf16Matrix GateUp { get; }

    public Bf16Matrix Down { get; }

    /// <summary>Where <see cref="WgmmaProducts"/> run.</summary>
    public CudaTensorMap GateUpTiles { get; }

    /// <summary>Where <see cref="WgmmaProducts"/> run.</summary>
    public CudaTensorMap DownTiles { get; }

    public override nint OutputBias => Down.Bias;

    public static Bf16Weights Load(
        KernelLibrary library, MoeLayerShape shape, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
        Load(new Bf16Weights(library.Context, shape, source), weights =>
        {
            using var loader = new WeightLoader(library, shape);
            weights.GateUp.LoadBias(source.GateUp.Bias);
            weights.Down.LoadBias(source.Down.Bias);
            for (int expert = 0; expert < shape.ExpertCount; expert++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                loader.Load(weights.GateUp, source.GateUp, expert);
                loader.Load(weights.Down, source.Down, expert);
                progress?.Report((expert + 1.0) / shape.ExpertCount);
            }

            // The loader's memory goes now.
            library.Context.UseStream(0).Synchronize();
        });
}
