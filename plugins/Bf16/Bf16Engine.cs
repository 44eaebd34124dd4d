using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>The kernels of one layer on one device: loaded when the first weights or workspace need them.</summary>
internal sealed class Bf16Engine
{
    private readonly LayerRouting _routing;
    private readonly DecodeProducts _decode;
    private readonly IExpertProducts _prefill;
    private readonly MoeLayerShape _shape;

    public Bf16Engine(KernelLibrary library, MoeLayerShape shape)
    {
        Library = library;
        _shape = shape;
        using CudaContextScope scope = library.Context.MakeCurrent();
        _routing = new LayerRouting(library, shape);
        _decode = new DecodeProducts(library, _routing.Kernels, shape);
        _prefill = WgmmaProducts.RunOn(library.Context.Device)
            ? new WgmmaProducts(library, _routing.Kernels, shape)
            : new MmaProducts(library, _routing.Kernels, shape);
    }

    public KernelLibrary Library { get; }

    /// <summary>Every source that the backend compiles for an architecture.</summary>
    public static IEnumerable<KernelUnit> Units(CudaArchitecture architecture) =>
    [
        .. RoutingKernels.Units(architecture),
        WeightLoader.Unit,
        CudaInstruments.Unit,
        CudaMoeMemory.Unit,
        .. DecodeVariant.For(DecodeVariant.SharedBytesOf(architecture)).Select(variant => variant.Unit),
        .. WgmmaProducts.RunOn(architecture) ? WgmmaProducts.Units : [MmaProducts.Unit],
    ];

    /// <summary>Enqueues one batch.</summary>
    public void Forward(in MoeForwardArguments arguments)
    {
        int tokens = arguments.Input.Rows;
        if (tokens == 0)
        {
            return;
        }

        var weights = (Bf16Weights)arguments.Weights;
        var workspace = (Bf16Workspace)arguments.Workspace;
        using CudaContextScope scope = Library.Context.MakeCurrent();
        IExpertProducts products = ForwardPlan.IsPrefill(tokens, _shape) ? _prefill : _decode;
        RoutedBatch batch = _routing.Begin(arguments, weights.Router, workspace.Routing, products.BlockRows(tokens));
        PartialLayout partial = products.Run(batch.Rows, weights, workspace, arguments.Stream);
        _routing.End(arguments, batch, workspace.Partial, partial, weights.Down.Bias);
    }
}
