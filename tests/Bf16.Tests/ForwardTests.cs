using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Bf16.Tests;

public sealed class ForwardTests : CudaForwardTests
{
    public static TheoryData<string> Choices => [CudaHost.Auto];

    /// <summary>MXFP4 weights, widened at load.</summary>
    public static TheoryData<string, int, int, int, int, int> Layers => TestCases.Mxfp4Layers(Choices);

    private protected override CudaHost Host => Bf16.Host;

    /// <summary>From one token to many per expert, so that each of the kernels runs; sizes are multiples of 8 and of nothing larger.</summary>
    public static TheoryData<int, int, int, int, int> Shapes() => new()
    {
        { 288, 352, 8, 4, 1 },
        { 288, 352, 8, 4, 3 },
        { 288, 352, 8, 4, 17 },
        { 288, 352, 8, 4, 40 },
        { 288, 352, 8, 4, 64 },
        { 288, 352, 8, 4, 300 },
        { 8, 8, 1, 1, 5 },
        { 136, 72, 8, 2, 300 },
        { 136, 72, 512, 8, 33 },
        { 136, 72, 130, 1, 700 },
        { 2880, 2880, 4, 2, 2 },
        { 2880, 2880, 4, 2, 33 },
        { 2880, 2880, 4, 2, 500 },
        { 1024, 512, 16, 8, 2500 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Bf16_weights_in_both_orders(int hidden, int intermediate, int experts, int topK, int tokens)
    {
        Host.RequireDevice();
        MoeLayerShape shape = new()
        {
            HiddenSize = hidden,
            IntermediateSize = intermediate,
            ExpertCount = experts,
            TopK = topK,
            WeightFormat = MoeWeightFormat.BFloat16,
        };
        foreach (MoeMatrixOrder order in Enum.GetValues<MoeMatrixOrder>())
        {
            using var weights = new RandomLayer(shape, seed: tokens + (int)order, order);
            Check(shape, weights, tokens);
        }
    }

    [Fact]
    public void Float32_activations_are_rounded_once()
    {
        Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 5);
        using MoeBuffer input = RandomInput.Create(21, Small.HiddenSize, seed: 6);
        using MoeBuffer wide = Widen(input);
        var options = new MoeLayerOptions { MaxTokens = 21, InputType = MoeElementType.Float32, OutputType = MoeElementType.Float32 };
        using MoeLayer layer = Host.CreateLayer(Small, weights.Source, options);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, wide.View);

        run.AssertAgrees(layer, weights.Source, input.View);
    }

    [Fact]
    public void Too_much_memory_is_a_clear_error()
    {
        Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 2);
        using MoeLayer layer = Host.CreateLayer(Small, weights.Source, 4);

        MoeException error = Assert.Throws<MoeException>(() => layer.Method.Memory.Allocate(1L << 46));

        Assert.Equal(MoeReason.OutOfMemory, error.Reason);
        Assert.Contains("70,368,744,177,664 bytes", error.Message, StringComparison.Ordinal);
    }

    private static unsafe MoeBuffer Widen(MoeBuffer bf16)
    {
        var wide = MoeBuffer.OnHost(MoeElementType.Float32, bf16.View.Rows, bf16.View.Columns);
        for (int i = 0; i < bf16.View.Rows * bf16.View.Columns; i++)
        {
            ((float*)wide.View.Address)[i] = BitConverter.UInt32BitsToSingle((uint)((ushort*)bf16.View.Address)[i] << 16);
        }

        return wide;
    }
}
