using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>
/// The same products on the FP8 tensor cores of compute capability 9.0. Codes become E4M3 in registers, exactly; activations have one scale for a whole row
/// before the first product and for 128 of a row before the second, instead of 32; sums of 128 inputs keep about 14 bits, and are added in float32.
/// With <see cref="Fp8Use.Auto"/> few tokens run on BF16 tensor cores, whose products then read the same weights.
/// </summary>
internal sealed class Fp8Experts : CudaExperts
{
    /// <summary>Pairs per expert from which FP8 was measured to be faster than BF16 with the same weights (bench/NOTES.md).</summary>
    private const double FewestPairs = 4;

    private readonly KernelLibrary _library;
    private readonly MoeLayerShape _shape;
    private readonly Mxfp8Quantizer _quantizer;
    private readonly Fp8Products _products;
    private readonly WidenedExperts? _widened;
    private readonly bool _isForced;

    /// <summary>Gets the kernels.</summary>
    /// <param name="library">The backend's kernels; its context must be current.</param>
    /// <param name="shape">The layer's shape.</param>
    /// <param name="use">Auto or On.</param>
    /// <param name="forced">The one BF16 variant that runs every number of tokens; only with Auto.</param>
    public Fp8Experts(KernelLibrary library, MoeLayerShape shape, Fp8Use use, Mxfp4Variant? forced)
    {
        _library = library;
        _shape = shape;
        _quantizer = new Mxfp8Quantizer(library);
        _products = new Fp8Products(library, shape);
        _widened = use == Fp8Use.Auto ? new WidenedExperts(library, shape, forced, Mxfp4Dealing.E4M3) : null;
        _isForced = forced is Mxfp4Variant wanted && _widened?.Plan.Available.Contains(wanted) == true;
    }

    public override bool HasCompany
    {
        get => base.HasCompany;
        set
        {
            base.HasCompany = value;
            if (_widened is not null)
            {
                _widened.HasCompany = value;
            }
        }
    }

    /// <summary>The sources beside those of the widened products.</summary>
    public static IEnumerable<KernelUnit> Units(CudaArchitecture architecture) => architecture.HasWgmma
        ? [Fp8Products.GatherUnit, Fp8Matrix.Unit, Fp8Tile.Only.Unit, .. Mxfp4Experts.Units(Mxfp4Activations.Mxfp8, Mxfp4Dealing.E4M3)]
        : [];

    /// <summary>Whether there are kernels for a layer on a device: others run on the products that widen.</summary>
    public static bool Runs(CudaArchitecture architecture, MoeLayerShape shape) => architecture.HasWgmma
        && ActivationConstants.TypeOf(shape.Activation) == ActivationConstants.Silu && shape.LocalExpertCount <= Fp8Tile.MaxExperts;

    public override CudaWeights LoadWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
        Fp8Weights.Of(_library, _shape, Mxfp4Weights.Load(_library, _shape, source, progress, cancellationToken));

    public override CudaWorkspace CreateWorkspace(MoeLayerConfig config) =>
        new Fp8Workspace(_library.Context, config, _widened?.RoundedTokens(config) ?? 0);

    public override int BlockRows(int tokens) => 0;

    public override bool MultipliesFp8(int tokens) => _widened is null || (!_isForced && (double)tokens * _shape.TopK / _shape.ExpertCount >= FewestPairs);

    public override PartialLayout Run(in ExpertRows rows, CudaWeights weights, CudaWorkspace workspace, nint stream)
    {
        var own = (Fp8Weights)weights;
        if (_widened is not null && !MultipliesFp8(rows.Tokens))
        {
            return _widened.Run(rows, own.Weights, workspace, stream);
        }

        var buffers = (Fp8Workspace)workspace;
        return _products.Run(buffers.Quantize(_quantizer, rows, _shape.HiddenSize, stream), own, buffers, stream);
    }
}
