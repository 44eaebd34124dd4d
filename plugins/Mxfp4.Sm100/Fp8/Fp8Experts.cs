using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>
/// The same products on the FP8 tensor cores of compute capability 9.0. Codes become E4M3 in registers, exactly; activations have one scale for a whole row
/// before the first product and for 128 of a row before the second, instead of 32; sums of 128 inputs keep about 14 bits, and are added in float32.
/// </summary>
internal sealed class Fp8Experts(KernelLibrary library, MoeLayerShape shape) : CudaExperts
{
    private readonly KernelLibrary _library = library;
    private readonly MoeLayerShape _shape = shape;
    private readonly Mxfp8Quantizer _quantizer = new(library);
    private readonly Fp8Products _products = new(library, shape);

    /// <summary>The sources beside those of the widened products.</summary>
    public static IEnumerable<KernelUnit> Units(CudaArchitecture architecture) =>
        architecture.HasWgmma ? [Fp8Products.GatherUnit, Fp8Matrix.Unit, Fp8Tile.Only.Unit] : [];

    /// <summary>Whether there are kernels for a layer on a device: others run on the products that widen.</summary>
    public static bool Runs(CudaArchitecture architecture, MoeLayerShape shape) => architecture.HasWgmma
        && ActivationConstants.TypeOf(shape.Activation) == ActivationConstants.Silu && shape.LocalExpertCount <= Fp8Tile.MaxExperts;

    public override CudaWeights LoadWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
        Fp8Weights.Of(_library, _shape, Mxfp4Weights.Load(_library, _shape, source, progress, cancellationToken));

    public override CudaWorkspace CreateWorkspace(MoeLayerConfig config) => new WidenedWorkspace(_library.Context, config, hasFp8: true);

    public override int BlockRows(int tokens) => 0;

    public override bool MultipliesFp8(int tokens) => true;

    public override PartialLayout Run(in ExpertRows rows, CudaWeights weights, CudaWorkspace workspace, nint stream)
    {
        var own = (WidenedWorkspace)workspace;
        return _products.Run(own.Quantize(_quantizer, rows, _shape.HiddenSize, stream), (Fp8Weights)weights, own, stream);
    }
}
