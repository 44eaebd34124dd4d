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
        Guard(() => new Weights(this, config, Layer.Experts.LoadWeights(config, source, progress, cancellationToken)));

    private void Forward(CudaWeights weights, CudaWorkspace workspace, in MoeForwardArguments arguments)
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
            layer.Forward(weights, workspace, arguments);
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
        catch (MoeException exception) when (exception.Reason == MoeReason.OutOfMemory)
        {
            // What was half made is freed by its finalizers: now, for whoever catches this may try something smaller at once.
            GC.Collect();
            GC.WaitForPendingFinalizers();
            throw;
        }
    }

    /// <summary>A layer's weights as the contract sees them.</summary>
    private sealed class Weights(CudaMethod method, MoeLayerConfig config, CudaWeights weights) : IMoeWeights
    {
        public long ByteCount => weights.ByteCount;

        public double RoundingError => weights.RoundingError;

        public IMoeWorkspace CreateWorkspace() =>
            method.Guard(() => new Workspace(method, weights, method.Layer.Experts.CreateWorkspace(config)));

        public void Dispose() => weights.Dispose();
    }

    /// <summary>One stream's buffers as the contract sees them.</summary>
    private sealed class Workspace(CudaMethod method, CudaWeights weights, CudaWorkspace workspace) : IMoeWorkspace
    {
        public long ByteCount => workspace.ByteCount;

        public void Forward(MoeForwardArguments arguments) => method.Forward(weights, workspace, arguments);

        public void Dispose() => workspace.Dispose();
    }
}
