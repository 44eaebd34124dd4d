using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The products for few tokens per expert: <c>bf16_decode.cu</c>.</summary>
internal sealed class Bf16DecodeProducts : IBf16Products
{
    private readonly KernelLibrary _library;
    private readonly MoeLayerShape _shape;
    private readonly ActivationConstants _activation;
    private readonly IReadOnlyList<Bf16DecodeVariant> _variants;
    private readonly CudaFunction[] _gateUp;
    private readonly CudaFunction[] _down;
    private readonly int _multiprocessors;

    public Bf16DecodeProducts(KernelLibrary library, MoeLayerShape shape)
    {
        CudaDevice device = library.Context.Device;
        _library = library;
        _shape = shape;
        _activation = ActivationConstants.Of(shape.Activation);
        _multiprocessors = device.MultiprocessorCount;
        _variants = Bf16DecodeVariant.For(device.MaxSharedBytesPerBlock);
        _gateUp = [.. _variants.Select(variant => library.Get(variant.Unit, variant.GateUpEntry(ActivationConstants.TypeOf(shape.Activation)), variant.SharedBytes))];
        _down = [.. _variants.Select(variant => library.Get(variant.Unit, variant.DownEntry, variant.SharedBytes))];
    }

    public int BlockRows(int tokens) => _variants[Bf16Plan.DecodeIndex(tokens, _shape)].Tokens;

    public PartialLayout Run(in ExpertRows rows, Bf16Weights weights, Bf16Workspace workspace, nint stream)
    {
        int index = Bf16Plan.DecodeIndex(rows.Tokens, _shape);
        int pairs = rows.Tokens * _shape.TopK;
        int splits = Bf16Plan.Splits(pairs);
        CudaLaunchConfig launch = _library.Launch(_multiprocessors, Bf16DecodeVariant.Threads, _variants[index].SharedBytes);
        var parameters = new Parameters
        {
            X = rows.Address,
            Weight = weights.GateUp.Weight,
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
            Splits = 1,
            Activation = _activation,
        };
        _gateUp[index].Launch(launch, stream, in parameters);

        // The combine adds the second product's bias, once for all splits.
        parameters.X = workspace.Act;
        parameters.Weight = weights.Down.Weight;
        parameters.Bias = 0;
        parameters.Factor = weights.Down.Factors;
        parameters.Out = workspace.PartialResults;
        parameters.XStride = _shape.IntermediateSize;
        parameters.OutStride = _shape.HiddenSize;
        parameters.SplitStride = (long)pairs * _shape.HiddenSize;
        parameters.Rows = weights.Down.Rows;
        parameters.Depth = weights.Down.Inputs;
        parameters.Splits = splits;
        _down[index].Launch(launch, stream, in parameters);
        return new PartialLayout(splits, IsBf16: false);
    }

    /// <summary>As in <c>bf16_decode.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Parameters
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
    }
}
