using Moe.Plugins.GptOss.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>A model whose attention has the real sizes, a random text, and what the processor finds in float32 at each of its positions.</summary>
internal sealed class RealSizes : IDisposable
{
    private readonly RandomCheckpoint _checkpoint = new();
    private readonly int[] _text;
    private readonly float[] _expected;

    public RealSizes(int length)
    {
        var random = new Random(1);
        _text = [.. Enumerable.Range(0, length).Select(_ => random.Next(RandomCheckpoint.Vocabulary))];
        using GptOssModel model = Models.Load(Set);
        _expected = Models.AllLogits(model, _text);
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>Chooses the model, and room for the text.</summary>
    public void Set(GptOssOptions options) => (options.Model, options.MaxContext) = (_checkpoint.Folder, _text.Length);

    /// <summary>Reads the text step by step, then two pieces of it, then the rest step by step, and holds the logits at every position against the processor's.</summary>
    public void CheckPositions(GptOssModel model, int steps, int piece, int largePiece)
    {
        int last = _text.Length - steps - piece - largePiece;
        int[] pieces = [.. Enumerable.Repeat(1, steps), piece, largePiece, .. Enumerable.Repeat(1, last)];
        float[] found = Models.AllLogits(model, _text, pieces);
        int first = 0;

        // The first position, those within the window, and those beyond it.
        foreach (int count in (int[])[1, 127, steps - 128, piece, largePiece, last])
        {
            int begin = first * RandomCheckpoint.Vocabulary, length = count * RandomCheckpoint.Vocabulary;
            double error = Models.WorstRow(found.AsSpan(begin, length), _expected.AsSpan(begin, length), length);
            Assert.True(error is > 1e-5 and < GpuModels.BrainError, $"{count} positions from {first} on: {error:0.0e0}");
            first += count;
        }
    }

    /// <summary>Many texts at once, each somewhere else, as far apart as said: a prompt and three steps, of which the second is recorded and the third replayed.</summary>
    public void CheckTexts(GptOssModel model, int texts, int apart)
    {
        const int Steps = 4;
        GptOssSequence[] sequences = [.. Enumerable.Range(0, texts).Select(_ => model.CreateSequence())];
        int[] lengths = [.. Enumerable.Range(0, texts).Select(i => 1 + (i * apart))];
        float[] logits = new float[texts * RandomCheckpoint.Vocabulary];
        for (int step = 0; step < Steps; step++)
        {
            model.ForwardBatch(
                [.. sequences.Select((sequence, i) => new GptOssInput { Sequence = sequence, Tokens = step == 0 ? _text.AsMemory(0, lengths[i]) : _text.AsMemory(lengths[i] + step - 1, 1) })],
                logits,
                Cancellation);
        }

        float[] rows = [.. lengths.SelectMany(length => _expected.AsSpan((length + Steps - 2) * RandomCheckpoint.Vocabulary, RandomCheckpoint.Vocabulary).ToArray())];
        Assert.InRange(Models.WorstRow(logits, rows, rows.Length), 1e-5, GpuModels.BrainError);
        Array.ForEach(sequences, sequence => sequence.Dispose());
    }

    public void Dispose() => _checkpoint.Dispose();
}
