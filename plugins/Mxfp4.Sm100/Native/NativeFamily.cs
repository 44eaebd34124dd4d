using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>
/// The block-scaled matrix instruction of compute capability 10.0 and 10.3. Compiled, and its layouts tested against a model of the
/// instruction's documentation; never run on hardware.
/// </summary>
/// <remarks>
/// Whoever runs it first looks at what the documentation leaves open: that the barrier counts an unpacked copy's bytes as they are read, half a
/// byte a code (otherwise the first tile never ends); that four gathered rows swizzle by their address, as whole boxes of rows do; and that no
/// threshold, tile or number of stages was chosen by measuring.
/// </remarks>
internal sealed class NativeFamily : IExpertFamily
{
    private readonly KernelLibrary _library;
    private readonly MoeLayerShape _shape;
    private readonly LayerRouting _routing;
    private readonly Mxfp8Quantizer _quantizer;
    private readonly Dictionary<NativeTile, NativeProducts> _products;

    public NativeFamily(KernelLibrary library, MoeLayerShape shape)
    {
        _library = library;
        _shape = shape;
        using CudaContextScope scope = library.Context.MakeCurrent();
        _routing = new LayerRouting(library, shape);
        _quantizer = new Mxfp8Quantizer(library);
        _products = NativeTile.All.ToDictionary(tile => tile, tile => new NativeProducts(library, _routing.Kernels, shape, tile));
    }

    /// <summary>The sources beside those that every family has.</summary>
    public static IEnumerable<KernelUnit> Units => [NativeLoader.Unit, .. NativeTile.All.Select(tile => tile.Unit)];

    /// <summary>Whether the instruction exists there.</summary>
    public static bool Runs(CudaArchitecture architecture) => architecture.Number is 100 or 103;

    public IMoeWeights CreateWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
        NativeWeights.Load(_library, config, source, progress, cancellationToken);

    public IMoeWorkspace CreateWorkspace(MoeLayerConfig config) => new NativeWorkspace(_library.Context, config);

    public void Forward(in MoeForwardArguments arguments)
    {
        var weights = (NativeWeights)arguments.Weights;
        var workspace = (NativeWorkspace)arguments.Workspace;
        using CudaContextScope scope = _library.Context.MakeCurrent();
        NativeTile tile = NativeTile.For(arguments.Input.Rows * _shape.TopK, _shape.ExpertCount);
        RoutedBatch batch = _routing.Begin(arguments, weights.Router, workspace.Routing, tile.Tokens);
        MoeTensorView rows = Mxfp8Quantizer.View(batch.Rows, _shape.HiddenSize, arguments.Input.Device);
        _quantizer.Enqueue(rows, workspace.Input.Codes, workspace.Input.Scales, workspace.Input.Columns, Mxfp8ScaleOrder.Linear, arguments.Stream);
        _products[tile].Run(weights, workspace, arguments.Stream);
        _routing.End(arguments, batch, workspace.Partial, new PartialLayout(1, IsBf16: true), weights.Down.Bias);
    }
}
