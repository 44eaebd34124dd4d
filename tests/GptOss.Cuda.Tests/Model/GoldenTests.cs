using Moe.Plugins.GptOss.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>The tiny model on a GPU against transformers' float64, however its text is fed.</summary>
public sealed class GoldenTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>At once, in chunks, token by token (the second of which is recorded, and all later ones replayed), and in pieces.</summary>
    [Theory]
    [InlineData(2048)]
    [InlineData(5)]
    [InlineData(2048, 7, 20, 2, 24)]
    [InlineData(2048, 50, 1, 1, 1)]
    [InlineData(1)]
    public void Logits_are_as_near_as_bf16_is(int chunkTokens, params int[] pieces)
    {
        using GptOssModel model = GpuModels.Load(options => options.ChunkTokens = chunkTokens);
        Assert.Equal([MoeDevice.Cuda(0)], model.Devices);
        Assert.All(model.ExpertSelections, selection => Assert.Equal(MoeDevice.Cuda(0), selection.Selected!.Device));
        float[] logits = Models.AllLogits(model, Golden.Text, pieces);
        Assert.InRange(Models.WorstRow(logits, Golden.Logits, logits.Length), 1e-5, GpuModels.TinyError);
        Assert.Equal(chunkTokens == 1 || pieces.Count(piece => piece == 1) > 1 ? 1 : 0, GpuModels.EngineOf(model).GraphCount);
    }

    [Fact]
    public void The_likeliest_token_is_that_of_the_logits_and_never_a_banned_one()
    {
        using GptOssModel model = GpuModels.Load();
        using GptOssSequence sequence = model.CreateSequence();
        float[] logits = new float[model.Config.VocabularySize];
        model.Forward(sequence, Golden.Prompt, logits, Cancellation);
        for (int step = 0; step < 20; step++)
        {
            int[] next = [Models.Best(logits)], banned = step % 3 == 2 ? [.. Ranking(logits).Take(2)] : [];
            sequence.Truncate(sequence.Length - (step == 0 ? Golden.Prompt.Length : 1));
            int[] chosen = new int[1];
            int[] again = step == 0 ? Golden.Prompt : [Last];
            model.ChooseLikeliest([new GptOssInput { Sequence = sequence, Tokens = again }], chosen, banned, Cancellation);
            Assert.Equal(Ranking(logits)[banned.Length], chosen[0]);
            Last = next[0];
            model.Forward(sequence, next, logits, Cancellation);
        }
    }

    [Fact]
    public void Greedy_answers_are_the_generators()
    {
        using GptOssModel model = GpuModels.Load();
        using GptOssSequence first = model.CreateSequence(), second = model.CreateSequence();
        var options = new GptOssGeneration { MaxTokens = 40, Sampling = GptOssSampling.Greedy };
        int[] generated = [.. GptOssGenerator.Generate(model, first, Golden.Prompt, options, Cancellation)];
        float[] logits = new float[model.Config.VocabularySize];
        int[] next = Golden.Prompt;
        foreach (int token in generated)
        {
            model.Forward(second, next, logits, Cancellation);
            Assert.Equal(Models.Best(logits), token);
            next = [token];
        }
    }

    /// <summary>The device draws in float32, so a draw at the border of two tokens may be another one.</summary>
    [Theory]
    [InlineData(1, 1, 0, 3)]
    [InlineData(2, 1, 0.02, 3)]
    [InlineData(1, 0.9, 0, 3)]
    [InlineData(2, 0.5, 0.01, 3)]
    public void Draws_are_those_of_the_host(double temperature, double topP, double minP, int mostOthers)
    {
        using GptOssModel model = GpuModels.Load();
        using GptOssSequence sequence = model.CreateSequence();
        var sampling = new GptOssSampling { Temperature = temperature, TopP = topP, MinP = minP, Seed = 5 };
        Sampler device = new(sampling), host = new(sampling);
        float[] logits = new float[model.Config.VocabularySize];
        int[] next = Golden.Prompt, banned = [3, 77];
        int others = 0;
        var drawn = new HashSet<int>();
        for (int step = 0; step < 300; step++)
        {
            int[] found = new int[1];
            model.Choose([new GptOssInput { Sequence = sequence, Tokens = next }], found, [device], banned, Cancellation);
            sequence.Truncate(sequence.Length - next.Length);
            model.Forward(sequence, next, logits, Cancellation);
            others += host.Next(logits, banned) == found[0] ? 0 : 1;
            drawn.Add(found[0]);
            next = found;
        }

        Assert.InRange(others, 0, mostOthers);
        Assert.InRange(drawn.Count, 50, model.Config.VocabularySize);
        Assert.Empty(drawn.Intersect(banned));
    }

    private int Last { get; set; }

    private static int[] Ranking(float[] logits) => [.. Enumerable.Range(0, logits.Length).OrderByDescending(id => logits[id]).ThenBy(id => id)];
}
