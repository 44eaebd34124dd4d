using Microsoft.Extensions.DependencyInjection;
using Moe.Plugins.Conformance;
using SkiaSharp;

namespace Moe.Plugins.Cli.Tests;

/// <summary>`moe bench model --experiment`: the ways of its layers, and what it writes.</summary>
public sealed class ExperimentTests : IDisposable
{
    private const int Tokens = 5;
    private const float Epsilon = 1e-5f;

    private readonly TemporaryFolder _folder = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>A backend that pads has three ways, which round sums at different places; layers of another way have the weights of those before.</summary>
    [Fact]
    public async Task All_ways_come_to_the_same()
    {
        var services = new ServiceCollection();
        services.AddMoePlugins(options => options.Backend = "It").AddBackend<PaddingPlugin>("It");
        await using ServiceProvider provider = services.BuildServiceProvider();
        MoeHost inner = provider.GetRequiredService<MoeHost>();
        using var layer = new RandomLayer(Bench.Shape, seed: 5);
        using var host = new WayHost(inner);
        host.Explain(new MoeLayerRequest { Name = "a layer", Shape = Bench.Shape });
        var request = new MoeGroupRequest { Devices = [MoeDevice.Cpu, MoeDevice.Cpu], MaxTokens = Tokens, Width = Bench.Shape.HiddenSize };
        using IMoeGroup group = host.CreateGroup(request);
        Assert.Equal([LayerWay.Padded, LayerWay.Skipping, LayerWay.Fused], host.Ways);

        var found = new Dictionary<LayerWay, float[]>();
        foreach (LayerWay way in host.Ways)
        {
            host.Way = way;
            IMoeLayer[] parts = [.. Enumerable.Range(0, 2).Select(rank => host.CreateLayer(
                new MoeLayerRequest
                {
                    Name = "a layer",
                    Shape = Bench.Shape,
                    Options = new MoeLayerOptions { MaxTokens = Tokens, Part = MoePart.OfRank(rank, 2, 1) },
                },
                layer.Source,
                cancellationToken: Cancellation))];
            float[][] results = [[], []];
            RankThreads.Run(group, rank => results[rank] = Run(parts[rank], group.Members[rank]));
            Assert.Equal(results[0], results[1]);
            found[way] = results[0];
            Assert.All(parts, part => Assert.False(part.IsOutdated));
            host.Way = way == LayerWay.Fused ? LayerWay.Padded : LayerWay.Fused;
            Assert.All(parts, part => Assert.True(part.IsOutdated));
            Array.ForEach(parts, part => part.Dispose());
        }

        Assert.Equal(2, inner.Selections.Count);
        Assert.Equal(found[LayerWay.Padded], found[LayerWay.Skipping]);
        Assert.InRange(RelativeError(found[LayerWay.Fused], found[LayerWay.Skipping]), 1e-6, 1e-2);
    }

    [Fact]
    public async Task One_device_has_nothing_to_compare()
    {
        Cli result = await Cli.Run("bench", "model", "--experiment");
        Assert.Equal(ExitCode.BadInput, result.ExitCode);
        Assert.Contains("--devices with two or more of them is expected", result.Error.ReplaceLineEndings(" "), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_result_is_drawn_and_shown(bool isPadded)
    {
        ExperimentResult result = Result(isPadded);
        string file = _folder.File("e.json");
        BenchJson.Save(file, result);
        Assert.Equal(result.Steps, ExperimentResult.Load(file).Steps);
        Cli drawn = await Cli.Run("bench", "plot", file);
        Assert.True(drawn.ExitCode == 0, drawn.Error);
        using SKBitmap picture = SKBitmap.Decode(_folder.File("e.png"));
        Assert.InRange(picture.Width, 700, 1000);

        SchemaTests.Check("bench_experiment", await File.ReadAllTextAsync(file, Cancellation));
        using var output = new StringWriter();
        using var console = new CommandConsole(output, output, width: 140);
        ExperimentTable.Write(console.Out, result);
        Assert.All(isPadded ? ["500.0", "800.0", "60.0 %", "25.0 %"] : (string[])["800.0", "28.0 %"], text => Assert.Contains(text, output.ToString(), StringComparison.Ordinal));
    }

    public void Dispose() => _folder.Dispose();

    private static ExperimentResult Result(bool isPadded) => new()
    {
        Date = "2026-11-27T10:00:00Z",
        Version = "0.1.0",
        Device = "a GPU",
        Ranks = 2,
        Model = "a model: 2 layers",
        Experts = "It",
        Steps = [.. ((int[])[1, 8]).Select(batch => new ExperimentRow
        {
            Batch = batch,
            Context = 100,
            Padded = isPadded ? new ExperimentSide(2, 0.01, 500) : null,
            Skipping = new ExperimentSide(1.6, 0.01, 625),
            Fused = new ExperimentSide(1.25, 0.01, 800),
            Replays = 9,
        })],
    };

    private static float[] Run(IMoeLayer part, IMoeCommunicator member)
    {
        int width = Bench.Shape.HiddenSize;
        using IMoeForwardState state = part.CreateState(member);
        using MoeBuffer input = RandomInput.Create(Tokens, width, seed: 1), residual = RandomInput.Create(Tokens, width, seed: 2), weight = RandomInput.Create(1, width, seed: 3);
        using var output = MoeBuffer.OnHost(MoeElementType.BFloat16, Tokens, width);
        using var ids = MoeBuffer.OnHost(MoeElementType.Int32, Tokens, Bench.Shape.TopK);
        using var weights = MoeBuffer.OnHost(MoeElementType.Float32, Tokens, Bench.Shape.TopK);
        part.Forward(state, new MoeLayerCall
        {
            Input = input.View,
            Output = output.View,
            TopKIds = ids.View,
            TopKWeights = weights.View,
            AddNorm = new MoeAddNorm { NormWeight = weight.View, Epsilon = Epsilon, Residual = residual.View, ResidualOutput = residual.View },
        });
        part.Synchronize();
        return [.. Enumerable.Range(0, Tokens).SelectMany(token => BFloat16.Row(output.View, token).ToArray().Select(MoeBFloat16.ToSingle))];
    }

    private static double RelativeError(float[] found, float[] expected) =>
        Math.Sqrt(found.Zip(expected, (a, b) => Math.Pow(a - b, 2)).Sum() / expected.Sum(value => Math.Pow(value, 2)));
}
