using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>
/// Experts with BF16 weights, whatever the checkpoint has: kernels for few tokens per expert, and for many, on any device from compute capability
/// 8.0 on.
/// </summary>
public sealed class Bf16Experts : CudaExperts
{
    private readonly KernelLibrary _library;
    private readonly Bf16DecodeProducts _decode;
    private readonly IBf16Products _prefill;
    private readonly MoeLayerShape _shape;

    /// <summary>Gets the kernels.</summary>
    /// <param name="library">The backend's kernels; its context must be current.</param>
    /// <param name="shape">The layer's shape: sizes that are multiples of 8.</param>
    public Bf16Experts(KernelLibrary library, MoeLayerShape shape)
    {
        ArgumentNullException.ThrowIfNull(library);
        ArgumentNullException.ThrowIfNull(shape);
        _library = library;
        _shape = shape;
        _decode = new Bf16DecodeProducts(library, shape);
        _prefill = library.Context.Device.Architecture.HasWgmma ? new Bf16WgmmaProducts(library, shape) : new Bf16MmaProducts(library, shape);
    }

    /// <summary>Every source for an architecture.</summary>
    public static IEnumerable<KernelUnit> Units(CudaArchitecture architecture) =>
    [
        Bf16Loader.Unit,
        Bf16SharedExpert.Unit,
        Bf16Projection.Unit,
        .. Bf16DecodeVariant.For(Bf16DecodeVariant.SharedBytesOf(architecture)).Select(variant => variant.Unit),
        Bf16MmaProducts.Unit,
        .. architecture.HasWgmma ? Bf16WgmmaProducts.Units : [],
    ];

    /// <summary>Whether weights of a format can be brought to BF16.</summary>
    public static bool Reads(MoeWeightFormat format) => format is MoeWeightFormat.Mxfp4 or MoeWeightFormat.BFloat16 or MoeWeightFormat.Float16
        or MoeWeightFormat.Float32 or MoeWeightFormat.Fp8Block or MoeWeightFormat.Nvfp4;

    /// <inheritdoc/>
    public override CudaWeights LoadWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(source);
        return Bf16Weights.Load(_library, _shape, source, progress, cancellationToken);
    }

    /// <inheritdoc/>
    public override CudaWorkspace CreateWorkspace(MoeLayerConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return new Bf16Workspace(_library.Context, config);
    }

    /// <inheritdoc/>
    public override int BlockRows(int tokens)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tokens);
        return ProductsFor(tokens).BlockRows(tokens);
    }

    /// <inheritdoc/>
    public override PartialLayout Run(in ExpertRows rows, CudaWeights weights, CudaWorkspace workspace, nint stream)
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(workspace);
        return ProductsFor(rows.Tokens).Run(rows, (Bf16Weights)weights, (Bf16Workspace)workspace, stream);
    }

    private IBf16Products ProductsFor(int tokens) => Bf16Plan.IsPrefill(tokens, _shape) ? _prefill : _decode;
}
