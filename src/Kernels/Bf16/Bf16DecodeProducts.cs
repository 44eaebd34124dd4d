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
        int splits = Bf16Plan.Splits(rows.Tokens * _shape.TopK);
        CudaLaunchConfig launch = _library.Launch(_multiprocessors, Bf16DecodeVariant.Threads, _variants[index].SharedBytes);
        var first = Bf16ProductParameters.First(rows, _shape, _activation, weights, workspace);
        _gateUp[index].Launch(launch, stream, in first);
        var second = Bf16ProductParameters.Second(rows.Tokens, splits, _shape, weights, workspace);
        _down[index].Launch(launch, stream, in second);
        return new PartialLayout(splits, IsBf16: false);
    }
}
