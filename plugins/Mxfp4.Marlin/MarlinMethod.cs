using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Marlin;

/// <summary>
/// The method with vLLM's padding rule for its Marlin kernels: hidden up to 256, intermediate up to 128, padded and sliced by the host.
/// Our own kernels neither read nor multiply what is padded.
/// </summary>
internal sealed class MarlinMethod(Func<KernelLibrary> library, MoeLayerShape shape, Mxfp4Variant? forced) : IMoeQuantMethod
{
    private const int HiddenAlignment = 256;
    private const int IntermediateAlignment = 128;

    // Both wait for the first use: rounding and capabilities touch no device.
    private readonly Lazy<MarlinEngine> _engine = new(() => new MarlinEngine(library(), shape, forced));
    private readonly Lazy<CudaMoeMemory> _memory = new(() => new CudaMoeMemory(library()));

    public bool SupportsSkipForwardPadding => false;

    public bool HasUnpaddedOutput => false;

    public MoeNumerics Numerics { get; } = new()
    {
        RelativeError = 5e-3,
        Description = "MXFP4 weights widened to BF16, which is exact; BF16 activations, float32 sums",
        IsDeterministic = true,
    };

    public IMoeMemory Memory => _memory.Value;

    public int RoundUpHiddenSize(int hiddenSize) => RoundUp(hiddenSize, HiddenAlignment);

    public int RoundUpIntermediateSize(int intermediateSize) => RoundUp(intermediateSize, IntermediateAlignment);

    public IMoeWeights CreateWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
        Guard(() => Mxfp4Weights.Load(_engine.Value.Library, shape, source, progress, cancellationToken));

    public IMoeWorkspace CreateWorkspace(MoeLayerConfig config) =>
        Guard(() => new Mxfp4Workspace(_engine.Value.Library.Context, config));

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

    private static int RoundUp(int size, int alignment) => checked((size + alignment - 1) / alignment * alignment);

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
