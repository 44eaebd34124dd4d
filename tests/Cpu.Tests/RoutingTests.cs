using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>Where tokens go, and by whose choice.</summary>
public sealed class RoutingTests : IDisposable
{
    private static readonly MoeLayerShape Shape = new() { HiddenSize = 64, IntermediateSize = 96, ExpertCount = 8, TopK = 3 };

    private readonly RandomLayer _random = new(Shape, seed: 11);
    private readonly MoeBuffer _input = RandomInput.Create(40, Shape.HiddenSize, seed: 12);

    [Fact]
    public void All_tokens_may_go_to_the_same_experts()
    {
        Span<ushort> bias = Tensors.Row<ushort>(_random.Tensors.RouterBias, 0);
        (bias[6], bias[1], bias[3]) = (Tensors.BFloat16(600), Tensors.BFloat16(500), Tensors.BFloat16(400));
        using var layer = new CpuLayer(Shape, _random.Source);
        using CpuRun run = layer.Run(_input.View);
        run.CheckAgainst(Compute(null), Tolerance.Float32);
        Assert.All(run.Ids.ToArray<int>().Chunk(3), ids => Assert.Equal([6, 1, 3], ids));
    }

    [Fact]
    public void No_tokens_are_a_batch_too()
    {
        using var layer = new CpuLayer(Shape, _random.Source);
        using CpuRun run = layer.Run(_input.View.FirstRows(0));
        Assert.Empty(run.Bits());
    }

    [Fact]
    public void A_callers_choice_is_followed()
    {
        using var layer = new CpuLayer(Shape, _random.Source);
        using CpuRun choice = layer.Run(_input.View);
        for (int token = 0; token < _input.View.Rows; token++)
        {
            new[] { 7, token % 7, 7 }.CopyTo(choice.Ids.Row<int>(token));
            new[] { 0.25f, -2f, token }.CopyTo(choice.Weights.Row<float>(token));
        }

        using CpuRun run = layer.Run(_input.View, choice);
        run.CheckAgainst(Compute(new OracleOptions { TopKIds = choice.Ids.View, TopKWeights = choice.Weights.View }), Tolerance.Float32);
    }

    [Fact]
    public void A_callers_choice_of_the_routers_own_gives_the_same_bits()
    {
        using var layer = new CpuLayer(Shape, _random.Source);
        using CpuRun own = layer.Run(_input.View);
        using CpuRun given = layer.Run(_input.View, own);
        Assert.Equal(own.Bits(), given.Bits());
    }

    [Fact]
    public void A_layer_without_a_router_runs_by_the_callers_choice()
    {
        using var whole = new CpuLayer(Shape, _random.Source);
        using CpuRun own = whole.Run(_input.View);
        using var layer = new CpuLayer(Shape, _random.Source with { RouterWeight = default, RouterBias = default });
        using CpuRun given = layer.Run(_input.View, own);
        Assert.Equal(own.Bits(), given.Bits());
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(8)]
    [InlineData(int.MaxValue)]
    [InlineData(int.MinValue)]
    public void An_expert_that_is_none_is_named(int expert)
    {
        using var layer = new CpuLayer(Shape, _random.Source);
        using CpuRun choice = layer.Run(_input.View);
        byte[] good = choice.Bits();
        int old = choice.Ids.Row<int>(39)[2];
        choice.Ids.Row<int>(39)[2] = expert;
        Exception exception = Assert.ThrowsAny<Exception>(() => layer.Run(_input.View, choice));
        Assert.Contains($"Token 39 goes to expert {expert}; 0 to 7 is expected.", exception.Message, StringComparison.Ordinal);

        // The layer is none the worse for it; the state is, for the host cannot know what a backend left there.
        choice.Ids.Row<int>(39)[2] = old;
        using MoeForwardState another = layer.Layer.CreateState();
        using CpuRun again = layer.Run(_input.View, choice, another);
        Assert.Equal(good, again.Bits());
    }

    public void Dispose()
    {
        _input.Dispose();
        _random.Dispose();
    }

    private OracleResult Compute(OracleOptions? options) =>
        MoeOracle.Compute(Shape, _random.Source, _input.View, options, TestContext.Current.CancellationToken);
}
