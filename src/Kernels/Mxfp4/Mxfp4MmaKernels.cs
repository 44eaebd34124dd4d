using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The products on devices that the others are not for: <c>mxfp4_mma.cuh</c>.</summary>
internal sealed class Mxfp4MmaKernels
{
    /// <summary><c>kSharedBytes</c> of the kernel.</summary>
    private const int SharedBytes = 54272;
    private const int Threads = 256;

    private readonly KernelLibrary _library;
    private readonly MoeLayerShape _shape;
    private readonly ActivationConstants _activation;
    private readonly CudaFunction _product1;
    private readonly CudaFunction _product2;
    private readonly int _multiprocessors;

    public Mxfp4MmaKernels(KernelLibrary library, MoeLayerShape shape, Mxfp4Activations activations)
    {
        _library = library;
        _shape = shape;
        _activation = ActivationConstants.Of(shape.Activation);
        _multiprocessors = library.Context.Device.MultiprocessorCount;
        KernelUnit unit = Unit(activations);
        _product1 = library.Get(unit, Product1(ActivationConstants.TypeOf(shape.Activation)), SharedBytes);
        _product2 = library.Get(unit, "moe_mxfp4_mma_product2", SharedBytes);
    }

    public static KernelUnit Unit(Mxfp4Activations activations) =>
        new(activations == Mxfp4Activations.Mxfp8 ? "mxfp4_mma_mxfp8.cu" : "mxfp4_mma.cu", [.. ActivationConstants.Types.Select(Product1)]);

    private static string Product1(string activation) => $"moe_mxfp4_mma_product1<{activation}>";

    public PartialLayout Run(in ExpertRows rows, Mxfp4Weights weights, Mxfp4Workspace workspace, nint stream)
    {
        CudaLaunchConfig launch = _library.Launch(_multiprocessors, Threads, SharedBytes);
        var parameters = new Parameters
        {
            Weight = weights.GateUp.Groups,
            Factor = weights.GateUp.Factors,
            Bias = weights.GateUp.Bias,
            X = rows.Address,
            Out = workspace.Act,
            SortedPairs = workspace.Routing.SortedPairs,
            RowBlocks = workspace.Routing.RowBlocks,
            RowBlockCount = workspace.Routing.RowBlockCount,
            XStride = rows.Stride,
            OutStride = _shape.IntermediateSize,
            Rows = weights.GateUp.Rows,
            Depth = weights.GateUp.Depth,
            TopK = _shape.TopK,
            Activation = _activation,
        };
        _product1.Launch(launch, stream, in parameters);

        parameters.Weight = weights.Down.Groups;
        parameters.Factor = weights.Down.Factors;
        parameters.Bias = 0;
        parameters.X = workspace.Act;
        parameters.Out = workspace.PartialResults;
        parameters.XStride = _shape.IntermediateSize;
        parameters.OutStride = _shape.HiddenSize;
        parameters.Rows = weights.Down.Rows;
        parameters.Depth = weights.Down.Depth;
        _product2.Launch(launch, stream, in parameters);
        return new PartialLayout(1, IsBf16: true);
    }

    /// <summary>As in <c>mxfp4_mma.cuh</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Parameters
    {
        public nint Weight;
        public nint Factor;
        public nint Bias;
        public nint X;
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
