using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary>As in <c>bf16_product.cuh</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Bf16ProductParameters
{
    public nint X;
    public nint Weight;
    public nint Bias;
    public nint Factor;
    public nint Out;
    public nint SortedPairs;
    public nint RowBlocks;
    public nint RowBlockCount;
    public long XStride;
    public long OutStride;
    public long SplitStride;
    public int Rows;
    public int Depth;
    public int TopK;
    public int Splits;
    public ActivationConstants Activation;

    /// <summary>A layer's first product.</summary>
    public static Bf16ProductParameters First(
        in ExpertRows rows, MoeLayerShape shape, ActivationConstants activation, Bf16Weights weights, Bf16Workspace workspace) =>
        Of(rows, weights.GateUp, workspace.Routing, shape.TopK) with
        {
            Bias = weights.GateUp.Bias,
            Out = workspace.Act,
            OutStride = shape.IntermediateSize,
            Activation = activation,
        };

    /// <summary>A layer's second product, whose bias the combine adds.</summary>
    public static Bf16ProductParameters Second(int tokens, int splits, MoeLayerShape shape, Bf16Weights weights, Bf16Workspace workspace) =>
        Of(new ExpertRows(workspace.Act, shape.IntermediateSize, tokens), weights.Down, workspace.Routing, shape.TopK) with
        {
            Out = workspace.PartialResults,
            OutStride = shape.HiddenSize,
            SplitStride = (long)tokens * shape.TopK * shape.HiddenSize,
            Splits = splits,
        };

    /// <summary>A product without bias and in one part, whose rows are as wide as the matrix is high; all but where they go.</summary>
    public static Bf16ProductParameters Of(in ExpertRows rows, Bf16Matrix matrix, RoutingBuffers order, int topK) => new()
    {
        X = rows.Address,
        Weight = matrix.Weight,
        Factor = matrix.Factors,
        SortedPairs = order.SortedPairs,
        RowBlocks = order.RowBlocks,
        RowBlockCount = order.RowBlockCount,
        XStride = rows.Stride,
        OutStride = matrix.Rows,
        Rows = matrix.Rows,
        Depth = matrix.Inputs,
        TopK = topK,
        Splits = 1,
    };
}
