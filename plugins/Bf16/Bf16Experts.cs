using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>The experts of one layer on one device: kernels for few tokens per expert, and for many.</summary>
internal sealed class Bf16Experts : CudaExperts
{
    private readonly KernelLibrary _library;
    private readonly DecodeProducts _decode;
    private readonly IExpertProducts _prefill;
    private readonly MoeLayerShape _shape;

    public Bf16Experts(KernelLibrary library, MoeLayerShape shape)
    {
        _library = library;
        _shape = shape;
        _decode = new DecodeProducts(library, shape);
        _prefill = library.Context.Device.Architecture.HasWgmma ? new WgmmaProducts(library, shape) : new MmaProducts(library, shape);
    }

    /// <summary>Every source for an architecture.</summary>
    public static IEnumerable<KernelUnit> Units(CudaArchitecture architecture) =>
    [
        WeightLoader.Unit,
        .. DecodeVariant.For(DecodeVariant.SharedBytesOf(architecture)).Select(variant => variant.Unit),
        .. architecture.HasWgmma ? WgmmaProducts.Units : [MmaProducts.Unit],
    ];

    public override CudaWeights LoadWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
        Bf16Weights.Load(_library, _shape, source, progress, cancellationToken);

    public override CudaWorkspace CreateWorkspace(MoeLayerConfig config) => new Bf16Workspace(_library.Context, config);

    public override int BlockRows(int tokens) => ProductsFor(tokens).BlockRows(tokens);

    public override PartialLayout Run(in ExpertRows rows, CudaWeights weights, CudaWorkspace workspace, nint stream) =>
        ProductsFor(rows.Tokens).Run(rows, (Bf16Weights)weights, (Bf16Workspace)workspace, stream);

    private IExpertProducts ProductsFor(int tokens) => ForwardPlan.IsPrefill(tokens, _shape) ? _prefill : _decode;
}
