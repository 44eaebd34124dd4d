using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>A layer's weights on the device, as the tcgen05 products read them.</summary>
internal sealed class NativeWeights : IMoeWeights
{
    private const int GateUpHalves = 2;
    private const int DownHalves = 1;

    private NativeWeights(CudaContext context, MoeLayerConfig config, MoeWeightSource source)
    {
        MoeLayerShape shape = config.Shape;
        (int, int) hidden = (shape.HiddenSize, config.HiddenSize);
        Router = source.RouterWeight.IsEmpty ? null : new RouterTensors(context, source, shape);
        GateUp = new NativeMatrix(
            context, shape.ExpertCount, (2 * shape.IntermediateSize, 2 * config.IntermediateSize), hidden, GateUpHalves);
        Down = new NativeMatrix(context, shape.ExpertCount, hidden, (shape.IntermediateSize, config.IntermediateSize), DownHalves);
    }

    /// <summary>Null where the checkpoint has none: the caller routes.</summary>
    public RouterTensors? Router { get; }

    public NativeMatrix GateUp { get; }

    public NativeMatrix Down { get; }

    public long ByteCount => (Router?.ByteCount ?? 0) + GateUp.ByteCount + Down.ByteCount;

    public static NativeWeights Load(
        KernelLibrary library, MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        using CudaContextScope scope = library.Context.MakeCurrent();
        var weights = new NativeWeights(library.Context, config, source);
        try
        {
            using var loader = new NativeLoader(library, config.Shape);
            weights.GateUp.LoadBias(library.Context, source.GateUp.Bias);
            weights.Down.LoadBias(library.Context, source.Down.Bias);
            for (int expert = 0; expert < config.Shape.ExpertCount; expert++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                loader.Load(weights.GateUp, source.GateUp, expert);
                loader.Load(weights.Down, source.Down, expert);
                progress?.Report((expert + 1.0) / config.Shape.ExpertCount);
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
