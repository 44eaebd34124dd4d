using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>
/// The method with vLLM's padding rule for MXFP4 weights and MXFP8 activations on Blackwell: hidden and intermediate up to 256. The host
/// neither pads nor slices: the quantiser pads, and the combine writes the model's own width.
/// </summary>
/// <remarks>
/// Every kind of experts computes the same numbers: activations rounded to MXFP8 before each product (<see cref="Mxfp8Quantizer"/> has the
/// rule), MXFP4 weights as they are, float32 sums. <see cref="Fp8Experts"/> says what those lose beyond that.
/// </remarks>
internal sealed class Sm100Method(Func<KernelLibrary> library, bool native, Mxfp4Variant? forced, Fp8Use fp8) : CudaMethod(library)
{
    private const int Alignment = 256;

    public override bool SupportsSkipForwardPadding => true;

    public override bool HasUnpaddedOutput => true;

    public override MoeNumerics Numerics { get; } = new()
    {
        // Of the rounding itself: two times up to 2^-4 of a value, which the sums of a large layer average and those of a small one may not.
        // In float64, 3.2e-2 to 5.4e-2 on the golden files, 8.9e-2 with one block of 32 neurons and five tokens.
        RelativeError = 0.125,
        Description = "activations rounded to MXFP8 (E4M3, a scale for each 32) before both products; MXFP4 weights as they are; float32 sums"
            + (fp8 != Fp8Use.Off ? "; on FP8 tensor cores a scale for a whole row and, before the second product, for each 128; sums of 128 inputs of about 14 bits" : ""),
        IsDeterministic = true,
        ActivationRounding = MoeActivationRounding.Mxfp8,

        // Of BF16 in the partial results and the output; with FP8, of results of the first product that sums of 14 bits send to the other side of a tie.
        ErrorBeyondRounding = fp8 != Fp8Use.Off ? 2e-2 : 5e-3,
    };

    public override int RoundUpHiddenSize(int hiddenSize) => RoundUp(hiddenSize, Alignment);

    public override int RoundUpIntermediateSize(int intermediateSize) => RoundUp(intermediateSize, Alignment);

    protected override CudaExperts CreateExperts(KernelLibrary library, MoeLayerShape shape) =>
        native && NativeExperts.RunsOn(library.Context.Device.Architecture) && NativeExperts.Runs(shape)
            ? new NativeExperts(library, shape)
            : fp8 != Fp8Use.Off && Fp8Experts.Runs(library.Context.Device.Architecture, shape)
            ? new Fp8Experts(library, shape, fp8, forced)
            : new WidenedExperts(library, shape, forced);
}
