using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>A layer's MXFP4 weights on the device, in the one layout that all of the products read.</summary>
public sealed class Mxfp4Weights : CudaWeights
{
    private Mxfp4Weights(CudaContext context, MoeLayerShape shape)
        : base(context)
    {
        GateUp = Add(new Mxfp4Matrix(context, shape.LocalExpertCount, shape.GateUpSize, shape.HiddenSize, isGateUp: shape.Activation.IsGated));
        Down = Add(new Mxfp4Matrix(context, shape.LocalExpertCount, shape.HiddenSize, shape.IntermediateSize, isGateUp: false));
    }

    /// <summary>The first product's matrix.</summary>
    public Mxfp4Matrix GateUp { get; }

    /// <summary>The second product's matrix.</summary>
    public Mxfp4Matrix Down { get; }

    /// <inheritdoc/>
    public override nint OutputBias => Down.Bias;

    /// <summary>Loads and repacks a layer.</summary>
    /// <param name="library">The backend's kernels.</param>
    /// <param name="shape">The layer's shape: sizes that are multiples of 32.</param>
    /// <param name="source">The checkpoint's tensors.</param>
    /// <param name="progress">Told the share that is loaded; may be null.</param>
    /// <param name="cancellationToken">Ends a long load early.</param>
    /// <exception cref="MoeException">The device is out of memory or failed.</exception>
    public static Mxfp4Weights Load(
        KernelLibrary library, MoeLayerShape shape, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(library);
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(source);
        using CudaContextScope scope = library.Context.MakeCurrent();
        return Load(new Mxfp4Weights(library.Context, shape), weights =>
            new Mxfp4Loader(library).Load([(weights.GateUp, source.GateUp), (weights.Down, source.Down)], progress, cancellationToken));
    }
}
