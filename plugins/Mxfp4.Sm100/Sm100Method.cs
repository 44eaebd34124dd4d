using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>
/// The method with vLLM's padding rule for MXFP4 weights and MXFP8 activations on Blackwell: hidden and intermediate up to 256. The host
/// neither pads nor slices: the quantiser pads, and the combine writes the model's own width.
/// </summary>
internal sealed class Sm100Method(Func<KernelLibrary> library, Func<KernelLibrary, IExpertFamily> family) : IMoeQuantMethod
{
    private const int Alignment = 256;

    // Both wait for the first use: rounding and capabilities touch no device.
    private readonly Lazy<IExpertFamily> _family = new(() => family(library()));
    private readonly Lazy<CudaMoeMemory> _memory = new(() => new CudaMoeMemory(library()));

    public bool SupportsSkipForwardPadding => true;

    public bool HasUnpaddedOutput => true;

    public MoeNumerics Numerics { get; } = new()
    {
        // Of the rounding itself: two times up to 2^-4 of a value, which the sums of a large layer average and those of a small one may not.
        // In float64, 3.2e-2 to 5.4e-2 on the golden files, 8.9e-2 with one block of 32 neurons and five tokens.
        RelativeError = 0.125,
        Description = "activations rounded to MXFP8 (E4M3, a scale for each 32) before both products; MXFP4 weights as they are; float32 sums",
        IsDeterministic = true,
    };

    public IMoeMemory Memory => _memory.Value;

    public int RoundUpHiddenSize(int hiddenSize) => Mxfp8Layout.RoundUp(hiddenSize, Alignment);

    public int RoundUpIntermediateSize(int intermediateSize) => Mxfp8Layout.RoundUp(intermediateSize, Alignment);

    public IMoeWeights CreateWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
        Guard(() => _family.Value.CreateWeights(config, source, progress, cancellationToken));

    public IMoeWorkspace CreateWorkspace(MoeLayerConfig config) => Guard(() => _family.Value.CreateWorkspace(config));

    public void Forward(MoeForwardArguments arguments)
    {
        if (arguments.Input.Rows == 0)
        {
            return;
        }

        try
        {
            _family.Value.Forward(arguments);
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
