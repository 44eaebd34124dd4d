using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>A layer's weights on the device, in the one layout that all of the backend's kernels read.</summary>
internal sealed class Bf16Weights : IMoeWeights
{
    private Bf16Weights(CudaContext context, MoeWeightSource source, MoeLayerShape shape)
    {
        Router = source.RouterWeight.IsEmpty ? null : new RouterTensors(context, source, shape);
        GateUp = new Bf16Matrix(context, shape.ExpertCount, 2 * shape.IntermediateSize, shape.HiddenSize);
        Down = new Bf16Matrix(context, shape.ExpertCount, shape.HiddenSize, shape.IntermediateSize);
        if (WgmmaProducts.RunOn(context.Device))
        {
            GateUpTiles = WgmmaTiles.OfGateUp(GateUp, shape.ExpertCount);
            DownTiles = WgmmaTiles.OfDown(Down, shape.ExpertCount);
        }
    }

    /// <summary>Null where the checkpoint has none: the caller routes.</summary>
    public RouterTensors? Router { get; }

    public Bf16Matrix GateUp { get; }

    public Bf16Matrix Down { get; }

    /// <summary>Where <see cref="WgmmaProducts"/> run.</summary>
    public CudaTensorMap GateUpTiles { get; }

    /// <summary>Where <see cref="WgmmaProducts"/> run.</summary>
    public CudaTensorMap DownTiles { get; }

    public long ByteCount => (Router?.ByteCount ?? 0) + GateUp.ByteCount + Down.ByteCount;

    public static Bf16Weights Load(
        KernelLibrary library, MoeLayerShape shape, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        using CudaContextScope scope = library.Context.MakeCurrent();
        var weights = new Bf16Weights(library.Context, source, shape);
        try
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

            // The source's memory is the caller's again once this returns, and other streams read the weights.
            library.Context.UseStream(0).Synchronize();
            return weights;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        Router?.Dispose();
        GateUp.Dispose();
        Down.Dispose();
    }
}
