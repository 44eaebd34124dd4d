using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>A method on CUDA devices: the contract's calls with the right context, and the driver's errors as the contract's.</summary>
/// <param name="library">Opens the device's kernels.</param>
/// <remarks>Rounding, capabilities and numerics touch no device: kernels are loaded when weights are first needed, for the shape of their config.</remarks>
public abstract class CudaMethod(Func<KernelLibrary> library) : IMoeQuantMethod
{
    private readonly Lazy<CudaMoeMemory> _memory = new(() => new CudaMoeMemory(library()));

    /// <inheritdoc/>
    public abstract bool SupportsSkipForwardPadding { get; }

    /// <inheritdoc/>
    public abstract bool HasUnpaddedOutput { get; }

    /// <inheritdoc/>
    public abstract MoeNumerics Numerics { get; }

    /// <inheritdoc/>
    public IMoeMemory Memory => _memory.Value;

    /// <inheritdoc/>
    public abstract int RoundUpHiddenSize(int hiddenSize);

    /// <inheritdoc/>
    public abstract int RoundUpIntermediateSize(int intermediateSize);

    /// <inheritdoc/>
    public IMoeWeights CreateWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(source);
        return Guard(library(), kernels =>
        {
            CudaLayer layer = MakeLayer(kernels, config.Shape);
            var networks = new LayerNetworks(config, this);
            return new Weights(layer, config, networks, LayerWeights.Load(layer, networks, config.Shape, source, progress, cancellationToken));
        });
    }

    /// <inheritdoc/>
    public void Dispose() => GC.SuppressFinalize(this); // Kernels and contexts are the backend's.

    /// <summary>Makes the backend's own part: the routed experts. The device's context is current.</summary>
    /// <param name="library">The backend's kernels.</param>
    /// <param name="shape">Their shape: without shared experts, and as wide as experts are.</param>
    protected abstract CudaExperts CreateExperts(KernelLibrary library, MoeLayerShape shape);

    /// <summary>
    /// Makes the shared experts, by default with BF16 activations: MXFP4 weights as they are, others as BF16. The device's context is current.
    /// </summary>
    /// <param name="library">The backend's kernels.</param>
    /// <param name="shape">Their shape: of one expert that every token goes to.</param>
    protected virtual CudaExperts CreateShared(KernelLibrary library, MoeLayerShape shape)
    {
        ArgumentNullException.ThrowIfNull(library);
        ArgumentNullException.ThrowIfNull(shape);
        return shape.WeightFormat == MoeWeightFormat.Mxfp4
            ? new Mxfp4Experts(library, shape, new Mxfp4Plan(library.Context.Device.Architecture, shape))
            : new Bf16Experts(library, shape);
    }

    /// <summary>Rounds a size up to a multiple of an alignment.</summary>
    protected static int RoundUp(int size, int alignment) => checked((size + alignment - 1) / alignment * alignment);

    /// <summary>
    /// The relative error that BF16 activations with float32 sums are promised to stay within: those of layers with latent projections, or with weights
    /// on the experts' inputs, are rounded more often.
    /// </summary>
    protected static double RelativeErrorOf(MoeLayerShape shape)
    {
        ArgumentNullException.ThrowIfNull(shape);
        return shape.Latent is not null || LayerNetworks.WeighsInput(shape) ? 8e-3 : 5e-3;
    }

    private CudaLayer MakeLayer(KernelLibrary kernels, MoeLayerShape shape) => new(
        kernels,
        shape,
        CreateExperts(kernels, LayerNetworks.ExpertsOf(shape)),
        shape.Shared is null ? null : CreateShared(kernels, LayerNetworks.SharedOf(shape)));

    private static T Guard<T>(KernelLibrary kernels, Func<KernelLibrary, T> call)
    {
        try
        {
            using CudaContextScope scope = kernels.Context.MakeCurrent();
            return call(kernels);
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
    private sealed class Weights(CudaLayer layer, MoeLayerConfig config, LayerNetworks networks, LayerWeights weights) : IMoeWeights
    {
        public long ByteCount => weights.ByteCount;

        public double RoundingError => weights.RoundingError;

        public string? Remark => weights.Experts.Remark;

        public bool MultipliesFp8(int tokens) => layer.Experts.MultipliesFp8(tokens);

        public IMoeWorkspace CreateWorkspace() => Guard(
            layer.Library, library => new Workspace(layer, weights, library.Workspaces.Take(config.Shape, config.Options, () => new LayerWorkspace(layer, networks, config))));

        public void Dispose() => weights.Dispose();
    }

    /// <summary>One stream's buffers as the contract sees them.</summary>
    private sealed class Workspace(CudaLayer layer, LayerWeights weights, SharedWorkspaces<LayerWorkspace>.Share share) : IMoeWorkspace
    {
        public long ByteCount => share.ByteCount;

        public bool CanRoute => weights.Router is not null;

        public void Forward(MoeForwardArguments arguments)
        {
            if (arguments.Input.Rows > 0)
            {
                Enqueue(arguments, static (layer, weights, workspace, arguments) => layer.Forward(weights, workspace, arguments));
            }
        }

        public void Route(MoeRouteArguments arguments)
        {
            if (arguments.Input.Rows > 0)
            {
                Enqueue(arguments, static (layer, weights, workspace, arguments) => layer.Route(weights, workspace, arguments));
            }
        }

        public void Dispose() => share.Dispose();

        // Not through Guard, whose delegate would be allocated.
        private void Enqueue<T>(in T arguments, Action<CudaLayer, LayerWeights, LayerWorkspace, T> call)
        {
            try
            {
                using CudaContextScope scope = layer.Library.Context.MakeCurrent();
                call(layer, weights, share.Workspace, arguments);
            }
            catch (CudaException exception)
            {
                share.Spoil();
                throw CudaFault.Explain(exception);
            }
            catch
            {
                share.Spoil();
                throw;
            }
        }
    }
}
