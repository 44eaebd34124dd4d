using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The products for many tokens per expert on sm_90a: <c>bf16_prefill.cu</c>.</summary>
internal sealed class Bf16WgmmaProducts : IBf16Products
{
    /// <summary><c>kSharedBytes</c> of <c>bf16_prefill.cu</c>.</summary>
    private const int SharedBytes = 209616;
    private const int Threads = 512;

    private readonly KernelLibrary _library;
    private readonly RowGather _gather;
    private readonly MoeLayerShape _shape;
    private readonly ActivationConstants _activation;
    private readonly CudaFunction _product1;
    private readonly CudaFunction _product2;
    private readonly int _multiprocessors;

    public Bf16WgmmaProducts(KernelLibrary library, MoeLayerShape shape)
    {
        _library = library;
        _gather = new RowGather(library);
        _shape = shape;
        _activation = ActivationConstants.Of(shape.Activation);
        _multiprocessors = library.Context.Device.MultiprocessorCount;
        string activation = ActivationConstants.TypeOf(shape.Activation);
        KernelUnit unit = Unit(activation);
        _product1 = library.Get(unit, Entry(1, activation), SharedBytes);
        _product2 = library.Get(unit, Entry(2, activation), SharedBytes);
    }

    /// <summary>Every source.</summary>
    public static IEnumerable<KernelUnit> Units => [.. ActivationConstants.Types.Select(Unit), RowGather.Unit()];

    // One each, as they take long to compile and a layer needs one.
    private static KernelUnit Unit(string activation) => new("bf16_prefill.cu", Entry(1, activation), Entry(2, activation));

    private static string Entry(int product, string activation) => $"moe_bf16_prefill_product{product}<{activation}>";

    // The kernels make their own tiles from the experts' offsets.
    public int BlockRows(int tokens) => 0;

    public PartialLayout Run(in ExpertRows rows, Bf16Weights weights, Bf16Workspace workspace, nint stream)
    {
        _gather.Run(rows, _shape, workspace.Routing, workspace.Gathered, stream);
        CudaLaunchConfig launch = _library.Launch(_multiprocessors, Threads, SharedBytes);
        var parameters = new Parameters
        {
            Weight = weights.GateUpTiles,
            Tokens = workspace.GatheredRows,
            Bias = weights.GateUp.Bias,
            Factor = weights.GateUp.Factors,
            Out = workspace.Act,
            ExpertOffsets = workspace.Routing.ExpertOffsets,
            SortedPairs = workspace.Routing.SortedPairs,
            Counters = workspace.Routing.ProductCounters,
            OutStride = _shape.IntermediateSize,
            Rows = weights.GateUp.Rows,
            Depth = weights.GateUp.Inputs,
            Experts = _shape.LocalExpertCount,
            Activation = _activation,
        };
        _product1.Launch(launch, stream, in parameters);

        parameters.Weight = weights.DownTiles;
        parameters.Tokens = workspace.ActRows;
        parameters.Bias = weights.Down.Bias;
        parameters.Factor = weights.Down.Factors;
        parameters.Out = workspace.PartialResults;
        parameters.OutStride = _shape.HiddenSize;
        parameters.Rows = weights.Down.Rows;
        parameters.Depth = weights.Down.Inputs;
        _product2.Launch(launch, stream, in parameters);
        return new PartialLayout(1, IsBf16: true, HasBias: true);
    }

    /// <summary>As in <c>bf16_prefill.cu</c>. Its size is a multiple of its alignment, 64.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 384)]
    private struct Parameters
    {
        public CudaTensorMap Weight;
        public CudaTensorMap Tokens;
        public nint Bias;
        public nint Factor;
        public nint Out;
        public nint ExpertOffsets;
        public nint SortedPairs;
        public nint Counters;
        public long OutStride;
        public int Rows;
        public int Depth;
        public int Experts;
        public ActivationConstants Activation;
    }
}
