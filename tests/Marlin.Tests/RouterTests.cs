using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Marlin.Tests;

/// <summary>The router and the sort of a device, for each way in which their work is divided.</summary>
public sealed class RouterTests
{
    /// <summary>
    /// Hidden, experts, top-k, tokens: a tile of 16, 32 or 64 tokens or several, more experts than clusters take, inputs that end within a slice of 32,
    /// and fewer slices than blocks share them.
    /// </summary>
    public static TheoryData<int, int, int, int, bool> Layers { get; } = new()
    {
        { 2880, 32, 4, 1, false },
        { 2880, 32, 4, 16, true },
        { 2880, 32, 4, 17, false },
        { 2880, 32, 4, 32, false },
        { 2880, 32, 4, 33, true },
        { 2880, 32, 4, 64, false },
        { 2880, 32, 4, 65, false },
        { 2880, 32, 4, 1000, true },
        { 2880, 33, 4, 33, true },
        { 2880, 128, 4, 60, false },
        { 96, 32, 32, 64, false },
        { 544, 20, 3, 40, true },
        { 544, 1, 1, 9, false },
        { 544, 500, 8, 130, true },
        { 7168, 32, 8, 48, true },
    };

    [Theory]
    [MemberData(nameof(Layers))]
    public void Every_token_finds_its_experts(int hidden, int experts, int topK, int tokens, bool isFloat)
    {
        Marlin.Host.RequireDevice();
        MoeLayerShape shape = new() { HiddenSize = hidden, IntermediateSize = 32, ExpertCount = experts, TopK = topK };
        using var random = new RandomLayer(shape, seed: tokens + experts);
        using MoeBuffer? wide = isFloat ? Widen(random.Tensors.RouterWeight) : null;
        MoeWeightSource source = wide is null ? random.Source : random.Source with { RouterWeight = wide.View };
        using MoeBuffer input = RandomInput.Create(tokens, hidden, seed: tokens);
        using MoeLayer layer = Marlin.Host.CreateLayer(shape, source, tokens);
        using MoeForwardState state = layer.CreateState();

        // Twice, since one launch leaves to the next what it counts with.
        for (int i = 0; i < 2; i++)
        {
            using DeviceRun run = DeviceRun.Run(layer, state, input.View);
            run.AssertAgrees(layer, source, input.View);
            AssertWeights(run, shape, source, input.View);
        }
    }

    private static unsafe void AssertWeights(DeviceRun run, MoeLayerShape shape, MoeWeightSource source, MoeTensorView input)
    {
        var options = new OracleOptions { TopKIds = run.Ids.View };
        OracleResult oracle = MoeOracle.Compute(shape, source, input, options, TestContext.Current.CancellationToken);
        for (int token = 0; token < input.Rows; token++)
        {
            for (int k = 0; k < shape.TopK; k++)
            {
                Assert.Equal(oracle.Routing.Weights(token).Span[k], ((float*)run.Weights.View.RowAddress(token))[k], 2e-5);
            }
        }
    }

    /// <summary>As float32, with bits that BF16 has not.</summary>
    private static unsafe MoeBuffer Widen(MoeTensorView weight)
    {
        var wide = MoeBuffer.OnHost(MoeElementType.Float32, weight.Rows, weight.Columns);
        var random = new Random(9);
        for (int row = 0; row < weight.Rows; row++)
        {
            for (int column = 0; column < weight.Columns; column++)
            {
                ((float*)wide.View.RowAddress(row))[column] = (float)(BitConverter.UInt32BitsToSingle((uint)((ushort*)weight.RowAddress(row))[column] << 16) * (1 + (0.003 * random.NextDouble())));
            }
        }

        return wide;
    }
}
