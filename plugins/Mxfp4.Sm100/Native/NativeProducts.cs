using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>Both products with one tile of <c>native.cu</c>.</summary>
internal sealed class NativeProducts(KernelLibrary library, MoeLayerShape shape, NativeTile tile)
{
    private readonly ActivationConstants _activation = ActivationConstants.Of(shape.Activation);
    private readonly int _multiprocessors = library.Context.Device.MultiprocessorCount;
    private readonly CudaFunction _product1 = library.Get(tile.Unit, tile.FirstEntry, tile.SharedBytes(2));
    private readonly CudaFunction _product2 = library.Get(tile.Unit, tile.SecondEntry, tile.SharedBytes(1));

    public void Run(NativeWeights weights, NativeWorkspace workspace, nint stream)
    {
        Parameters first = Common(weights.GateUp, workspace.Input, workspace.Routing);
        first.Bias = weights.GateUp.Bias;
        first.Codes = workspace.Act.Codes;
        first.Scales = workspace.Act.Scales;
        first.OutStride = workspace.Act.Columns;
        _product1.Launch(library.Launch(_multiprocessors, NativeTile.Threads, tile.SharedBytes(2)), stream, in first);

        // The combine adds the second product's bias and the router's weights.
        Parameters second = Common(weights.Down, workspace.Act, workspace.Routing);
        second.Out = workspace.PartialResults;
        second.OutStride = shape.HiddenSize;
        _product2.Launch(library.Launch(_multiprocessors, NativeTile.Threads, tile.SharedBytes(1)), stream, in second);
    }

    private Parameters Common(NativeMatrix matrix, NativeRows x, RoutingBuffers buffers) => new()
    {
        Weight = matrix.Map,
        X = x.Map,
        WeightScales = matrix.Scales,
        XScales = x.Scales,
        ExpertOffsets = buffers.ExpertOffsets,
        SortedPairs = buffers.SortedPairs,
        Rows = matrix.Rows,
        Depth = matrix.Depth,
        PaddedRows = matrix.PaddedRows,
        PaddedDepth = matrix.PaddedDepth,
        TopK = shape.TopK,
        Experts = shape.LocalExpertCount,
        Activation = _activation,
    };

    /// <summary>As in <c>native.cu</c>. Its size is a multiple of its alignment, 64.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 384)]
    internal struct Parameters
    {
        public CudaTensorMap Weight;
        public CudaTensorMap X;
        public nint WeightScales;
        public nint XScales;
        public nint Bias;
        public nint Codes;
        public nint Scales;
        public nint Out;
        public nint ExpertOffsets;
        public nint SortedPairs;
        public long OutStride;
        public int Rows;
        public int Depth;
        public int PaddedRows;
        public int PaddedDepth;
        public int TopK;
        public int Experts;
        public ActivationConstants Activation;
    }
}
