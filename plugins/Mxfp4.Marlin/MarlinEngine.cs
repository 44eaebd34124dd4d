using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Marlin;

/// <summary>The kernels of one layer on one device: loaded when the first weights or workspace need them.</summary>
internal sealed class MarlinEngine
{
    private readonly LayerRouting _routing;
    private readonly Mxfp4Products _products;

    public MarlinEngine(KernelLibrary library, MoeLayerShape shape, Mxfp4Variant? forced)
    {
        Library = library;
        using CudaContextScope scope = library.Context.MakeCurrent();
        _routing = new LayerRouting(library, shape);
        _products = new Mxfp4Products(library, _routing.Kernels, shape, new Mxfp4Plan(library.Context.Device.Architecture, shape, forced));
    }

    public KernelLibrary Library { get; }

    /// <summary>Every source that the backend compiles for an architecture.</summary>
    public static IEnumerable<KernelUnit> Units(CudaArchitecture architecture) =>
        [.. RoutingKernels.Units(architecture), CudaInstruments.Unit, CudaMoeMemory.Unit, .. Mxfp4Products.Units(architecture, Mxfp4Activations.BFloat16)];

    /// <summary>Enqueues one batch. The input is padded, and what lies in its padding is not read; the output's padding is not written.</summary>
    public void Forward(in MoeForwardArguments arguments)
    {
        int tokens = arguments.Input.Rows;
        if (tokens == 0)
        {
            return;
        }

        var weights = (Mxfp4Weights)arguments.Weights;
        var workspace = (Mxfp4Workspace)arguments.Workspace;
        using CudaContextScope scope = Library.Context.MakeCurrent();
        RoutedBatch batch = _routing.Begin(arguments, weights.Router, workspace.Routing, _products.BlockRows(tokens));
        PartialLayout partial = _products.Run(batch.Rows, weights, workspace, arguments.Stream);
        _routing.End(arguments, batch, workspace.Partial, partial, weights.Down.Bias);
    }
}
