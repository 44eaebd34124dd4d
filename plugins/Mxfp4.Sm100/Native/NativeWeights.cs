using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>A layer's weights on the device, as the tcgen05 products read them.</summary>
internal sealed class NativeWeights : CudaWeights
{
    private const int GateUpHalves = 2;
    private const int DownHalves = 1;

    private NativeWeights(CudaContext context, MoeLayerConfig config)
        : base(context)
    {
        MoeLayerShape shape = config.Shape;
        (int, int) hidden = (shape.HiddenSize, config.HiddenSize);
        GateUp = Add(new NativeMatrix(
            context, shape.LocalExpertCount, (2 * shape.IntermediateSize, 2 * config.IntermediateSize), hidden, GateUpHalves));
        Down = Add(new NativeMatrix(context, shape.LocalExpertCount, hidden, (shape.IntermediateSize, config.IntermediateSize), DownHalves));
    }

    public NativeMatrix GateUp { get; }

    public NativeMatrix Down { get; }

    public override nint OutputBias => Down.Bias;

    public static NativeWeights Load(
        KernelLibrary library, MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
        Load(new NativeWeights(library.Context, config), weights =>
            new NativeLoader(library).Load([(weights.GateUp, source.GateUp), (weights.Down, source.Down)], progress, cancellationToken));
}
