using Moe.Plugins.GptOss.Tests;
using Moe.Plugins.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>A model that ranks share, each on a GPU, against transformers' float64, the processor and one GPU.</summary>
[Collection(Alone.Name)]
public sealed class RankTests
{
    private const int Context = 256;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>At once, in chunks, token by token, and in pieces: as on one device.</summary>
    [Theory]
    [InlineData(2048)]
    [InlineData(5)]
    [InlineData(2048, 7, 20, 2, 24)]
    [InlineData(2048, 50, 1, 1, 1)]
    [InlineData(1)]
    public void Logits_are_as_near_as_bf16_is(int chunkTokens, params int[] pieces)
    {
        using GptOssModel model = Load(ranks: 2, options => options.ChunkTokens = chunkTokens);
        float[] logits = Models.AllLogits(model, Golden.Text, pieces);
        Assert.InRange(Models.WorstRow(logits, Golden.Logits, logits.Length), 1e-5, GpuModels.TinyError);
        Assert.Equal(chunkTokens == 1 || pieces.Count(piece => piece == 1) > 1 ? 1 : 0, GpuModels.EngineOf(model).GraphCount);
        Assert.Equal(0, model.RefreshExperts(Cancellation));
    }

    /// <summary>Attention and head of the real sizes, prompts and steps, within the window and beyond it.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void Logits_are_the_processors_at_every_position(int ranks)
    {
        IReadOnlyList<MoeDevice> devices = GpuModels.Devices(ranks);
        using var sizes = new RealSizes(length: 700);
        using GptOssModel model = GpuModels.Load(options => sizes.Set(options.UseCuda(devices)));
        sizes.CheckPositions(model, steps: 150, piece: 30, largePiece: 420);
        foreach (int texts in (int[])[64, 33, 9, 2])
        {
            sizes.CheckTexts(model, texts, apart: 10);
        }
    }

    /// <summary>
    /// The same kernels on the same numbers, summed in the order of the ranks: the same tokens, likeliest or drawn, however often and whether launched one by one or
    /// replayed.
    /// </summary>
    [Theory]
    [InlineData(2, 1, 0)]
    [InlineData(2, 20, 0)]
    [InlineData(4, 5, 0)]
    [InlineData(2, 1, 1)]
    [InlineData(2, 20, 1.5)]
    [InlineData(4, 5, 1)]
    public void Replays_give_the_bits_of_single_launches(int ranks, int texts, double temperature)
    {
        IReadOnlyList<MoeDevice> devices = GpuModels.Devices(ranks);
        using var checkpoint = new RandomCheckpoint();
        using GptOssModel model = GpuModels.Load(options => Share(options, devices, checkpoint));
        int[] launched = Answer(model, texts, temperature, usesGraphs: false);
        Assert.Equal(launched, Answer(model, texts, temperature, usesGraphs: true));
        Assert.Equal(launched, Answer(model, texts, temperature, usesGraphs: true));
        Assert.Equal(1, GpuModels.EngineOf(model).GraphCount);
    }

    [Fact]
    public void The_likeliest_token_is_that_of_the_logits_and_never_a_banned_one()
    {
        using GptOssModel model = Load(ranks: 2);
        using GptOssSequence sequence = model.CreateSequence();
        float[] logits = new float[model.Config.VocabularySize];
        int[] next = Golden.Prompt, chosen = new int[1];
        var ranks = new HashSet<bool>();
        for (int step = 0; step < 30; step++)
        {
            model.Forward(sequence, next, logits, Cancellation);
            int[] ranking = [.. Enumerable.Range(0, logits.Length).OrderByDescending(id => logits[id]).ThenBy(id => id)];
            int[] banned = [.. ranking.Take(step % 3)];
            sequence.Truncate(sequence.Length - next.Length);
            model.ChooseLikeliest([new GptOssInput { Sequence = sequence, Tokens = next }], chosen, banned, Cancellation);
            Assert.Equal(ranking[banned.Length], chosen[0]);
            ranks.Add(chosen[0] < model.Config.VocabularySize / 2);
            next = [(ranking[0] + step) % logits.Length];
        }

        Assert.Equal(2, ranks.Count);
    }

    /// <summary>
    /// Draws of one text and of many, of all tokens and from nuclei, some of which take the likeliest token; in chunks of few tokens, whose group has the fewest rows
    /// to gather logits in.
    /// </summary>
    [Theory]
    [InlineData(2, 1, 1, 1, 0, 2048)]
    [InlineData(2, 1, 1, 0.9, 0, 2048)]
    [InlineData(2, 40, 0.7, 0.9, 0, 2048)]
    [InlineData(2, 64, 1.5, 1, 0.02, 2048)]
    [InlineData(2, 9, 1, 0.8, 0, 1)]
    [InlineData(4, 1, 1, 1, 0, 2048)]
    [InlineData(4, 1, 1.5, 0.95, 0, 2048)]
    [InlineData(4, 40, 0.8, 1, 0.05, 2048)]
    [InlineData(4, 64, 1.5, 0.6, 0, 2048)]
    public void Draws_are_those_of_the_host(int ranks, int texts, double temperature, double topP, double minP, int chunkTokens)
    {
        IReadOnlyList<MoeDevice> devices = GpuModels.Devices(ranks);
        using var checkpoint = new RandomCheckpoint();
        using GptOssModel model = GpuModels.Load(options =>
        {
            Share(options, devices, checkpoint);
            options.ChunkTokens = chunkTokens;
        });
        GptOssSequence[] sequences = [.. Enumerable.Range(0, texts).Select(_ => model.CreateSequence())];
        GptOssSampling[] sampling = [.. Enumerable.Range(0, texts).Select(i => new GptOssSampling
        {
            Temperature = i % 5 == 4 ? 0 : temperature,
            TopP = i % 3 == 0 ? topP : 1,
            MinP = minP,
            Seed = i,
        })];
        Sampler[] drawing = [.. sampling.Select(options => new Sampler(options))], host = [.. sampling.Select(options => new Sampler(options))];
        float[] logits = new float[texts * RandomCheckpoint.Vocabulary];
        int[] banned = [3, 277];
        int[][] next = [.. Enumerable.Range(0, texts).Select(i => new[] { 1 + i, 2, 500 - i })];
        var seen = new HashSet<int>();
        for (int step = 0; step < (100 / texts) + 4; step++)
        {
            GptOssInput[] inputs = [.. sequences.Select((sequence, i) => new GptOssInput { Sequence = sequence, Tokens = next[i] })];
            int[] found = new int[texts];
            model.Choose(inputs, found, drawing, banned, Cancellation);
            for (int i = 0; i < texts; i++)
            {
                sequences[i].Truncate(sequences[i].Length - next[i].Length);
            }

            model.ForwardBatch(inputs, logits, Cancellation);
            for (int i = 0; i < texts; i++)
            {
                Assert.Equal(host[i].Next(logits.AsSpan(i * RandomCheckpoint.Vocabulary, RandomCheckpoint.Vocabulary), banned), found[i]);
                next[i] = [found[i]];
                seen.Add(found[i] / (RandomCheckpoint.Vocabulary / ranks));
            }
        }

        Assert.Equal(ranks, seen.Count);
        Array.ForEach(sequences, sequence => sequence.Dispose());
    }

    /// <summary>The host's configuration says how many ranks there are, and that they share the experts.</summary>
    [Theory]
    [InlineData(2, 1)]
    [InlineData(1, 2)]
    public void Ranks_are_those_of_the_configuration(int tensor, int expert)
    {
        var settings = new MoeOptions { Parallel = { Tensor = tensor, Expert = expert, Devices = [.. GpuModels.Devices(2).Select(device => $"{device}")] } };
        using MoeHost host = MoeHost.Create(settings);
        using GptOssModel model = GpuModels.Load(host: host);
        float[] logits = Models.AllLogits(model, Golden.Text, 40, 1, 1, 1, Golden.Text.Length - 43);
        Assert.InRange(Models.WorstRow(logits, Golden.Logits, logits.Length), 1e-5, GpuModels.TinyError);
        Assert.Equal(1, GpuModels.EngineOf(model).GraphCount);
    }

    /// <summary>A cancelled forward leaves the ranks in step: the next one is right.</summary>
    [Fact]
    public void A_cancelled_forward_changes_nothing()
    {
        using GptOssModel model = Load(ranks: 2, options => options.ChunkTokens = 8);
        using GptOssSequence sequence = model.CreateSequence();
        float[] logits = new float[model.Config.VocabularySize], again = new float[logits.Length];
        model.Forward(sequence, Golden.Prompt, logits, Cancellation);
        for (int attempt = 0; attempt < 20; attempt++)
        {
            sequence.Truncate(0);
            using var source = new CancellationTokenSource();
            source.CancelAfter(TimeSpan.FromMilliseconds(attempt * 0.3));
            if (Record.Exception(() => model.Forward(sequence, Golden.Prompt, again, source.Token)) is { } ended)
            {
                Assert.IsType<OperationCanceledException>(ended, exactMatch: false);
                Assert.Equal(0, sequence.Length);
                model.Forward(sequence, Golden.Prompt, again, Cancellation);
            }

            Assert.Equal(logits, again);
        }
    }

    private static GptOssModel Load(int ranks, Action<GptOssOptions>? configure = null)
    {
        IReadOnlyList<MoeDevice> devices = GpuModels.Devices(ranks);
        return GpuModels.Load(options =>
        {
            options.UseCuda(devices);
            configure?.Invoke(options);
        });
    }

    private static void Share(GptOssOptions options, IReadOnlyList<MoeDevice> devices, RandomCheckpoint checkpoint)
    {
        options.UseCuda(devices);
        (options.Model, options.MaxContext) = (checkpoint.Folder, Context);
    }

    private static int[] Answer(GptOssModel model, int texts, double temperature, bool usesGraphs)
    {
        GpuModels.EngineOf(model).UsesGraphs = usesGraphs;
        GptOssSequence[] sequences = [.. Enumerable.Range(0, texts).Select(_ => model.CreateSequence())];
        var random = new Random(7);
        int[] next = new int[texts];
        var chosen = new List<int>();
        Sampler[] samplers = [.. sequences.Select((_, i) => new Sampler(new GptOssSampling { Temperature = temperature, TopP = i % 2 == 0 ? 0.9 : 1, Seed = i }))];
        int[][] prompts = [.. sequences.Select((_, i) => Enumerable.Range(0, 3 + (9 * i)).Select(_ => random.Next(RandomCheckpoint.Vocabulary)).ToArray())];
        for (int step = 0; step < 12; step++)
        {
            int[] before = [.. next];
            model.Choose(
                [.. sequences.Select((sequence, i) => new GptOssInput { Sequence = sequence, Tokens = step == 0 ? prompts[i] : before.AsMemory(i, 1) })],
                next,
                samplers,
                [],
                Cancellation);
            chosen.AddRange(next);
        }

        Array.ForEach(sequences, sequence => sequence.Dispose());
        return [.. chosen];
    }
}
