using Moe.Plugins.Kernels;

namespace Moe.Plugins.Marlin;

/// <summary>
/// The method with vLLM's padding rule for its Marlin kernels: hidden up to 256, intermediate up to 128. The host neither pads nor slices:
/// our own kernels neither read nor multiply what would be padded, and write the model's own width.
/// </summary>
internal sealed class MarlinMethod(Func<KernelLibrary> library, MoeLayerShape shape, Mxfp4Variant? forced) : CudaMethod(library)
{
    private const int HiddenAlignment = 256;
    private const int IntermediateAlignment = 128;

    public override bool SupportsSkipForwardPadding => true;

    public override bool HasUnpaddedOutput => true;

    public override MoeNumerics Numerics { get; } = new()
    {
        RelativeError = RelativeErrorOf(shape),
        Description = "MXFP4 weights widened to BF16, which is exact; BF16 activations, float32 sums",
        IsDeterministic = true,
    };

    public override int RoundUpHiddenSize(int hiddenSize) => RoundUp(hiddenSize, HiddenAlignment);

    public override int RoundUpIntermediateSize(int intermediateSize) => RoundUp(intermediateSize, IntermediateAlignment);

    protected override CudaExperts CreateExperts(KernelLibrary library, MoeLayerShape shape) =>
        new Mxfp4Experts(library, shape, new Mxfp4Plan(library.Context.Device.Architecture, shape, forced));
}
