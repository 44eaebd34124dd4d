using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>
/// The same numbers on BF16 tensor cores, on any device from compute capability 8.0 on: E4M3 and E2M1 values times powers of two are BF16
/// numbers, so that products of widened codes are those of the codes. The caller's rows become MXFP8 once, and are widened as they are brought
/// into the experts' order; the first product's results are rounded to MXFP8 in its registers.
/// </summary>
internal sealed class WidenedFamily : IExpertFamily
{
    private readonly KernelLibrary _library;
    private readonly MoeLayerShape _shape;
    private readonly LayerRouting _routing;
    private readonly Mxfp8Quantizer _quantizer;
    private readonly Mxfp4Products _products;

    public WidenedFamily(KernelLibrary library, MoeLayerShape shape, Mxfp4Variant? forced)
    {
        _library = library;
        _shape = shape;
        using CudaContextScope scope = library.Context.MakeCurrent();
        CudaDevice device = library.Context.Device;
        _routing = new LayerRouting(library, shape);
        _quantizer = new Mxfp8Quantizer(library);
        var plan = new Mxfp4Plan(device.Architecture, shape, forced, Mxfp4Activations.Mxfp8);
        _products = new Mxfp4Products(library, _routing.Kernels, shape, plan);
    }

    /// <summary>The sources beside those that every family has.</summary>
    public static IEnumerable<KernelUnit> Units(CudaArchitecture architecture) => Mxfp4Products.Units(architecture, Mxfp4Activations.Mxfp8);

    public IMoeWeights CreateWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
        Mxfp4Weights.Load(_library, _shape, source, progress, cancellationToken);

    public IMoeWorkspace CreateWorkspace(MoeLayerConfig config) => new WidenedWorkspace(_library.Context, config);

    public void Forward(in MoeForwardArguments arguments)
    {
        var weights = (Mxfp4Weights)arguments.Weights;
        var workspace = (WidenedWorkspace)arguments.Workspace;
        using CudaContextScope scope = _library.Context.MakeCurrent();
        RoutedBatch batch = _routing.Begin(arguments, weights.Router, workspace.Products.Routing, _products.BlockRows(arguments.Input.Rows));
        _quantizer.Enqueue(
            Mxfp8Quantizer.View(batch.Rows, _shape.HiddenSize, arguments.Input.Device),
            workspace.Codes,
            workspace.Scales,
            workspace.Columns,
            Mxfp8ScaleOrder.Linear,
            arguments.Stream);
        var rows = new ExpertRows(workspace.Codes, workspace.Columns, batch.Rows.Tokens, workspace.Scales);
        PartialLayout partial = _products.Run(rows, weights, workspace.Products, arguments.Stream);
        _routing.End(arguments, batch, workspace.Products.Partial, partial, weights.Down.Bias);
    }
}
