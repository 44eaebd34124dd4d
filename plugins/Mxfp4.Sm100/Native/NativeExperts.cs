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
internal sealed class NativeExperts : CudaExperts
{
    private readonly KernelLibrary _library;
    private readonly MoeLayerShape _shape;
    private readonly Mxfp8Quantizer _quantizer;
    private readonly Dictionary<NativeTile, NativeProducts> _products;

    public NativeExperts(KernelLibrary library, MoeLayerShape shape)
    {
        _library = library;
        _shape = shape;
        _quantizer = new Mxfp8Quantizer(library);
        _products = NativeTile.All.ToDictionary(tile => tile, tile => new NativeProducts(library, shape, tile));
    }

    /// <summary>The sources beside those that every kind of experts has.</summary>
    public static IEnumerable<KernelUnit> Units => [NativeLoader.Unit, .. NativeTile.All.Select(tile => tile.Unit)];

    /// <summary>Whether the instruction exists there.</summary>
    public static bool RunsOn(CudaArchitecture architecture) => architecture.Number is 100 or 103;

    /// <summary>Whether there are kernels for a layer: others run on the products that widen.</summary>
    public static bool Runs(MoeLayerShape shape) => ActivationConstants.TypeOf(shape.Activation) == ActivationConstants.Silu;

    public override CudaWeights LoadWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
        NativeWeights.Load(_library, config, source, progress, cancellationToken);

    public override CudaWorkspace CreateWorkspace(MoeLayerConfig config) => new NativeWorkspace(_library.Context, config);

    public override int BlockRows(int tokens) => TileFor(tokens).Tokens;

    public override PartialLayout Run(in ExpertRows rows, CudaWeights weights, CudaWorkspace workspace, nint stream)
    {
        var own = (NativeWorkspace)workspace;
        _quantizer.Enqueue(rows, _shape.HiddenSize, own.Input.Codes, own.Input.Scales, own.Input.Columns, stream);
        _products[TileFor(rows.Tokens)].Run((NativeWeights)weights, own, stream);
        return new PartialLayout(1, IsBf16: true);
    }

    private NativeTile TileFor(int tokens) => NativeTile.For(tokens * _shape.TopK, _shape.LocalExpertCount);
}
