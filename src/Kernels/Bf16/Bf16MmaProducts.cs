using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The products for many tokens per expert on devices without wgmma: <c>bf16_prefill_mma.cu</c>.</summary>
internal sealed class Bf16MmaProducts : IBf16Products
{
    /// <summary>The entry of the second product.</summary>
    public const string Product2 = "moe_bf16_prefill_mma_product2";

    public const int SharedBytes = 65536;
    public const int Threads = 256;
    public const int TileTokens = 128;
    public const int BlocksPerMultiprocessor = 2;

    private readonly KernelLibrary _library;
    private readonly MoeLayerShape _shape;
    private readonly ActivationConstants _activation;
    private readonly CudaFunction _product1;
    private readonly CudaFunction _product2;
    private readonly int _multiprocessors;

    public Bf16MmaProducts(KernelLibrary library, MoeLayerShape shape)
    {
        _library = library;
        _shape = shape;
        _activation = ActivationConstants.Of(shape.Activation);
        _multiprocessors = library.Context.Device.MultiprocessorCount;
        _product1 = library.Get(Unit, Product1(ActivationConstants.TypeOf(shape.Activation)), SharedBytes);
        _product2 = library.Get(Unit, Product2, SharedBytes);
    }

    public static KernelUnit Unit { get; } = new("bf16_prefill_mma.cu", [.. ActivationConstants.Types.Select(Product1)]);

    private static string Product1(string activation) => $"moe_bf16_prefill_mma_product1<{activation}>";

    public int BlockRows(int tokens) => TileTokens;

    public PartialLayout Run(in ExpertRows rows, Bf16Weights weights, Bf16Workspace workspace, nint stream)
    {
        CudaLaunchConfig launch = _library.Launch(BlocksPerMultiprocessor * _multiprocessors, Threads, SharedBytes);
        var parameters = new Parameters
        {
            Weight = weights.GateUp.Weight,
            X = rows.Address,
            Bias = weights.GateUp.Bias,
            Factor = weights.GateUp.Factors,
            Out = workspace.Act,
            SortedPairs = workspace.Routing.SortedPairs,
            RowBlocks = workspace.Routing.RowBlocks,
            RowBlockCount = workspace.Routing.RowBlockCount,
            XStride = rows.Stride,
            OutStride = _shape.IntermediateSize,
            Rows = weights.GateUp.Rows,
            Depth = weights.GateUp.Inputs,
            TopK = _shape.TopK,
            Activation = _activation,
        };
        _product1.Launch(launch, stream, in parameters);

        parameters.Weight = weights.Down.Weight;
        parameters.X = workspace.Act;
        parameters.Bias = 0;
        parameters.Factor = weights.Down.Factors;
        parameters.Out = workspace.PartialResults;
        parameters.XStride = _shape.IntermediateSize;
        parameters.OutStride = _shape.HiddenSize;
        parameters.Rows = weights.Down.Rows;
        parameters.Depth = weights.Down.Inputs;
        _product2.Launch(launch, stream, in parameters);
        return new PartialLayout(1, IsBf16: true);
    }

    /// <summary>As in <c>bf16_prefill_mma.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Parameters
    {
        public nint Weight;
        public nint X;
        public nint Bias;
        public nint Factor;
        public nint Out;
        public nint SortedPairs;
        public nint RowBlocks;
        public nint RowBlockCount;
        public long XStride;
        public long OutStride;
        public int Rows;
        public int Depth;
        public int TopK;
        public ActivationConstants Activation;
    }
}
