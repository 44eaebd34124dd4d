using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>The BF16 method: nothing is padded, so both capabilities hold for any layer.</summary>
internal sealed class Bf16Method(Func<KernelLibrary> library, MoeLayerShape shape) : CudaMethod(library)
{
    public override bool SupportsSkipForwardPadding => true;

    public override bool HasUnpaddedOutput => true;

    public override MoeNumerics Numerics { get; } = new()
    {
        RelativeError = RelativeErrorOf(shape),
        Description = "BF16 activations and weights, float32 sums",
        IsDeterministic = true,
    };

    public override int RoundUpHiddenSize(int hiddenSize) => hiddenSize;

    public override int RoundUpIntermediateSize(int intermediateSize) => intermediateSize;

    protected override CudaExperts CreateExperts(KernelLibrary library, MoeLayerShape shape) => new Bf16Experts(library, shape);

    protected override CudaExperts CreateShared(KernelLibrary library, MoeLayerShape shape) => new Bf16Experts(library, shape);
}
