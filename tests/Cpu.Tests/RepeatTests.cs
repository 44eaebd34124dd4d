using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>The same answer, bit for bit, whoever asks and however often; and nothing allocated for it.</summary>
public sealed class RepeatTests : IDisposable
{
    private static readonly MoeLayerShape Shape = new() { HiddenSize = 160, IntermediateSize = 224, ExpertCount = 16, TopK = 4 };

    private readonly RandomLayer _random = new(Shape, seed: 21);
    private readonly MoeBuffer _input = RandomInput.Create(600, Shape.HiddenSize, seed: 22);

    [Fact]
    public void Twenty_runs_give_the_same_bits()
    {
        using var layer = new CpuLayer(Shape, _random.Source);
        MoeTensorView input = _input.View.FirstRows(37);
        using CpuRun first = layer.Run(input);
        for (int i = 0; i < 20; i++)
        {
            using CpuRun again = layer.Run(input);
            Assert.Equal(first.Bits(), again.Bits());
        }
    }

    [Theory]
    [InlineData(1, null)]
    [InlineData(2, null)]
    [InlineData(7, null)]
    [InlineData(1, "0;1")]
    [InlineData(2, "0;1")]
    [InlineData(7, "0;1;0-1")]
    public void Neither_the_number_of_threads_nor_their_nodes_change_a_bit(int threads, string? nodes)
    {
        using MoeHost host = CpuHost.Create($"{threads}", nodes);
        using var expected = new CpuLayer(Shape, _random.Source);
        using var layer = new CpuLayer(Shape, _random.Source, host: host);
        using CpuRun first = expected.Run(_input.View.FirstRows(64));
        using CpuRun second = layer.Run(_input.View.FirstRows(64));
        Assert.Equal(first.Bits(), second.Bits());
    }

    [Fact]
    public void Threads_with_a_state_each_agree_with_one_alone()
    {
        using var layer = new CpuLayer(Shape, _random.Source);
        byte[][] expected = [.. Enumerable.Range(0, 8).Select(i => RunOne(layer, i, null))];
        Parallel.For(0, 4, new ParallelOptions { MaxDegreeOfParallelism = 4, CancellationToken = TestContext.Current.CancellationToken }, worker =>
        {
            using MoeForwardState state = layer.Layer.CreateState();
            for (int i = 0; i < 24; i++)
            {
                int batch = (i + worker) % expected.Length;
                Assert.Equal(expected[batch], RunOne(layer, batch, state));
            }
        });
    }

    [Fact]
    public void Garbage_behind_the_rows_never_matters()
    {
        foreach (MoeElementType type in new[] { MoeElementType.Float32, MoeElementType.BFloat16 })
        {
            using var layer = new CpuLayer(Shape, _random.Source, type, type);
            MoeTensorView input = _input.View.FirstRows(9);
            using CpuRun dense = layer.Run(input, gapElements: 0);
            foreach (int gap in new[] { 1, 3, 32, 96 })
            {
                using CpuRun run = layer.Run(input, gapElements: gap);
                Assert.Equal(dense.Bits(), run.Bits());
            }
        }
    }

    [Fact]
    public void More_tokens_than_the_workspace_takes_at_once_are_the_oracle_s()
    {
        using var layer = new CpuLayer(Shape, _random.Source, maxTokens: 600);
        using CpuRun run = layer.Run(_input.View);
        OracleResult expected = MoeOracle.Compute(
            Shape, _random.Source, _input.View, cancellationToken: TestContext.Current.CancellationToken);
        run.CheckAgainst(expected, Tolerance.Float32);
    }

    [Theory]
    [InlineData("1", 1)]
    [InlineData("1", 300)]
    [InlineData(null, 1)]
    [InlineData(null, 300)]
    public void A_forward_allocates_nothing(string? threads, int tokens)
    {
        using MoeHost host = CpuHost.Create(threads);
        using var layer = new CpuLayer(Shape, _random.Source, MoeElementType.BFloat16, MoeElementType.BFloat16, maxTokens: 300, host: host);
        using var output = MoeBuffer.OnHost(MoeElementType.BFloat16, tokens, Shape.HiddenSize);
        var call = new MoeLayerCall { Input = _input.View.FirstRows(tokens), Output = output.View };
        for (int i = 0; i < 50; i++)
        {
            layer.Forward(call);
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10; i++)
        {
            layer.Forward(call);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    public void Dispose()
    {
        _input.Dispose();
        _random.Dispose();
    }

    /// <summary>Runs the batch that begins with some token and has some more after it.</summary>
    private byte[] RunOne(CpuLayer layer, int batch, MoeForwardState? state)
    {
        MoeTensorView all = _input.View;
        var input = new MoeTensorView(all.RowAddress(batch * 60), all.Device, all.ElementType, 1 + (batch * 8), all.Columns, all.RowStride);
        using CpuRun run = layer.Run(input, state: state);
        return run.Bits();
    }
}
