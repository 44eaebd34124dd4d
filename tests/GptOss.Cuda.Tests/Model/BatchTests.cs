using Moe.Plugins.GptOss.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>Batches on a GPU: steps of up to 64 texts in graphs, and everything else.</summary>
public sealed class BatchTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>Every number of texts that has a kernel of its own, and its neighbours; more than a step has.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(17)]
    [InlineData(32)]
    [InlineData(33)]
    [InlineData(64)]
    [InlineData(65)]
    public void Each_of_many_texts_gets_its_own_logits(int texts)
    {
        using GptOssModel model = GpuModels.Load();
        int vocabulary = model.Config.VocabularySize;
        GptOssSequence[] sequences = [.. Enumerable.Range(0, texts).Select(_ => model.CreateSequence())];
        int[] lengths = [.. Enumerable.Range(0, texts).Select(i => 1 + (i * 7 % (Golden.Text.Length - 4)))];
        float[] logits = new float[texts * vocabulary];
        model.ForwardBatch(Inputs(sequences, i => Golden.Text.AsMemory(0, lengths[i])), logits, Cancellation);
        for (int step = 0; step < 3; step++)
        {
            model.ForwardBatch(Inputs(sequences, i => Golden.Text.AsMemory(lengths[i] + step, 1)), logits, Cancellation);
            float[] expected = [.. lengths.SelectMany(length => Golden.Logits.AsSpan((length + step) * vocabulary, vocabulary).ToArray())];

            // One row has no others that its error is averaged with.
            Assert.InRange(Models.WorstRow(logits, expected, logits.Length), 1e-5, texts > 8 ? GpuModels.TinyError : 2 * GpuModels.TinyError);
        }

        Assert.Equal(texts <= 64 ? 1 : 0, GpuModels.EngineOf(model).GraphCount);
        Array.ForEach(sequences, sequence => sequence.Dispose());
    }

    /// <summary>
    /// The same kernels on the same numbers: the same bits, whether launched one by one or replayed, and the same tokens, whether likeliest, drawn, or drawn from a
    /// nucleus.
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(20)]
    public void Replays_give_the_bits_of_single_launches(int texts)
    {
        using GptOssModel model = GpuModels.Load();
        int[][] launched = Run(model, texts, usesGraphs: false, out float[] expected);
        int[][] replayed = Run(model, texts, usesGraphs: true, out float[] found);
        Assert.Equal(launched, replayed);
        Assert.Equal(expected, found);
        Assert.Equal(1, GpuModels.EngineOf(model).GraphCount);
    }

    [Fact]
    public void Texts_of_different_lengths_are_read_together()
    {
        using GptOssModel model = GpuModels.Load(options => options.ChunkTokens = 16);
        int vocabulary = model.Config.VocabularySize;
        int[] lengths = [1, 40, 9, 53];
        GptOssSequence[] sequences = [.. lengths.Select(_ => model.CreateSequence())];
        float[] logits = new float[lengths.Length * vocabulary];
        model.ForwardBatch(Inputs(sequences, i => Golden.Text.AsMemory(0, lengths[i])), logits, Cancellation);
        float[] expected = [.. lengths.SelectMany(length => Golden.Logits.AsSpan((length - 1) * vocabulary, vocabulary).ToArray())];
        Assert.InRange(Models.WorstRow(logits, expected, logits.Length), 1e-5, 2 * GpuModels.TinyError);
        Array.ForEach(sequences, sequence => sequence.Dispose());
    }

    private static GptOssInput[] Inputs(GptOssSequence[] sequences, Func<int, ReadOnlyMemory<int>> tokens) =>
        [.. sequences.Select((sequence, i) => new GptOssInput { Sequence = sequence, Tokens = tokens(i) })];

    private static int[][] Run(GptOssModel model, int texts, bool usesGraphs, out float[] logits)
    {
        GpuModels.EngineOf(model).UsesGraphs = usesGraphs;
        GptOssSequence[] sequences = [.. Enumerable.Range(0, texts).Select(_ => model.CreateSequence())];
        int[] next = new int[texts];
        var chosen = new List<int[]>();
        Sampler[] samplers = [.. Enumerable.Range(0, texts).Select(i => new Sampler(new GptOssSampling { Temperature = i % 3, TopP = i % 2 == 0 ? 0.9 : 1, Seed = i }))];
        model.Choose(Inputs(sequences, i => Golden.Text.AsMemory(0, 3 + i)), next, samplers, [], Cancellation);
        for (int step = 0; step < 12; step++)
        {
            int[] before = [.. next];
            model.Choose(Inputs(sequences, i => before.AsMemory(i, 1)), next, samplers, [], Cancellation);
            chosen.Add([.. next]);
        }

        logits = new float[texts * model.Config.VocabularySize];
        model.ForwardBatch(Inputs(sequences, i => next.AsMemory(i, 1)), logits, Cancellation);
        Array.ForEach(sequences, sequence => sequence.Dispose());
        return [.. chosen];
    }
}
