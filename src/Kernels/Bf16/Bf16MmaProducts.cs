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
        var first = Bf16ProductParameters.First(rows, _shape, _activation, weights, workspace);
        _product1.Launch(launch, stream, in first);
        var second = Bf16ProductParameters.Second(rows.Tokens, splits: 1, _shape, weights, workspace);
        _product2.Launch(launch, stream, in second);
        return new PartialLayout(1, IsBf16: true);
    }
}
