using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>The BF16 method: nothing is padded, so both capabilities hold for any layer.</summary>
internal sealed class Bf16Method(Func<KernelLibrary> library, MoeLayerShape shape) : IMoeQuantMethod
{
    // Both wait for the first use: rounding and capabilities touch no device.
    private readonly Lazy<Bf16Engine> _engine = new(() => new Bf16Engine(library(), shape));
    private readonly Lazy<CudaMoeMemory> _memory = new(() => new CudaMoeMemory(library()));

    public bool SupportsSkipForwardPadding => true;

    public bool HasUnpaddedOutput => true;

    public MoeNumerics Numerics { get; } = new()
    {
        RelativeError = 5e-3,
        Description = "BF16 activations and weights, float32 sums",
        IsDeterministic = true,
    };

    public IMoeMemory Memory => _memory.Value;

    public int RoundUpHiddenSize(int hiddenSize) => hiddenSize;

    public int RoundUpIntermediateSize(int intermediateSize) => intermediateSize;

    public IMoeWeights CreateWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
        Guard(() => Bf16Weights.Load(_engine.Value.Library, shape, source, progress, cancellationToken));

    public IMoeWorkspace CreateWorkspace(MoeLayerConfig config) => Guard(() => new Bf16Workspace(_engine.Value.Library.Context, config));

    public void Forward(MoeForwardArguments arguments)
    {
        try
        {
            _engine.Value.Forward(arguments);
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    public void Dispose()
    {
        // Kernels and contexts are the backend's.
    }

    private static T Guard<T>(Func<T> call)
    {
        try
        {
            return call();
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }
}
