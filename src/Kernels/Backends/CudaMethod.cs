using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>A method on CUDA devices: the contract's calls with the right context, and the driver's errors as the contract's.</summary>
/// <param name="library">Opens the device's kernels.</param>
/// <param name="shape">The layer's shape.</param>
/// <remarks>Rounding, capabilities and numerics touch no device: kernels are loaded when weights or a workspace are first needed.</remarks>
public abstract class CudaMethod(Func<KernelLibrary> library, MoeLayerShape shape) : IMoeQuantMethod
{
    private readonly Lazy<CudaMoeMemory> _memory = new(() => new CudaMoeMemory(library()));
    private Lazy<CudaLayer>? _layer;

    /// <inheritdoc/>
    public abstract bool SupportsSkipForwardPadding { get; }

    /// <inheritdoc/>
    public abstract bool HasUnpaddedOutput { get; }

    /// <inheritdoc/>
    public abstract MoeNumerics Numerics { get; }

    /// <inheritdoc/>
    public IMoeMemory Memory => _memory.Value;

    // Every forward asks, which allocates nothing.
    private CudaLayer Layer => (_layer ?? LazyInitializer.EnsureInitialized(ref _layer, () => new Lazy<CudaLayer>(OpenLayer))).Value;

    /// <inheritdoc/>
    public abstract int RoundUpHiddenSize(int hiddenSize);

    /// <inheritdoc/>
    public abstract int RoundUpIntermediateSize(int intermediateSize);

    /// <inheritdoc/>
    public IMoeWeights CreateWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
        Guard(() => Layer.Experts.LoadWeights(config, source, progress, cancellationToken));

    /// <inheritdoc/>
    public IMoeWorkspace CreateWorkspace(MoeLayerConfig config) => Guard(() => Layer.Experts.CreateWorkspace(config));

    /// <inheritdoc/>
    public void Forward(MoeForwardArguments arguments)
    {
        if (arguments.Input.Rows == 0)
        {
            return;
        }

        // Not through Guard, whose delegate would be allocated.
        try
        {
            CudaLayer layer = Layer;
            using CudaContextScope scope = layer.Library.Context.MakeCurrent();
            layer.Forward(arguments);
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => GC.SuppressFinalize(this); // Kernels and contexts are the backend's.

    /// <summary>Makes the backend's own part. The device's context is current.</summary>
    protected abstract CudaExperts CreateExperts(KernelLibrary library, MoeLayerShape shape);

    /// <summary>Rounds a size up to a multiple of an alignment.</summary>
    protected static int RoundUp(int size, int alignment) => checked((size + alignment - 1) / alignment * alignment);

    private CudaLayer OpenLayer()
    {
        KernelLibrary kernels = library();
        using CudaContextScope scope = kernels.Context.MakeCurrent();
        return new CudaLayer(kernels, shape, CreateExperts(kernels, shape));
    }

    private T Guard<T>(Func<T> call)
    {
        try
        {
            using CudaContextScope scope = Layer.Library.Context.MakeCurrent();
            return call();
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }
}
