using Moe.Plugins.GptOss.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>Attention of the real sizes, on random tokens, against the processor's float32 at every position: within the window, beyond it, beyond the original context.</summary>
public sealed class RealSizeTests
{
    private const int Length = 4300;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public void Logits_are_the_processors_at_every_position()
    {
        GpuModels.RequireDevice();
        using var checkpoint = new RandomCheckpoint();
        var random = new Random(1);
        int[] text = [.. Enumerable.Range(0, Length).Select(_ => random.Next(RandomCheckpoint.Vocabulary))];
        float[] expected;
        using (GptOssModel model = Models.Load(options => (options.Model, options.MaxContext) = (checkpoint.Folder, Length)))
        {
            expected = Models.AllLogits(model, text);
        }

        using GptOssModel device = GpuModels.Load(options => (options.Model, options.MaxContext) = (checkpoint.Folder, Length));

        // From the first token on step by step, then a prompt in chunks, then step by step again at the end.
        int[] pieces = [.. Enumerable.Repeat(1, 200), 40, 3960, .. Enumerable.Repeat(1, 100)];
        float[] found = Models.AllLogits(device, text, pieces);
        foreach ((int first, int count) in ((int, int)[])[(0, 1), (1, 127), (128, 72), (200, 40), (240, 3960), (4200, 100)])
        {
            int begin = first * RandomCheckpoint.Vocabulary, length = count * RandomCheckpoint.Vocabulary;
            double error = Models.WorstRow(found.AsSpan(begin, length), expected.AsSpan(begin, length), length);
            Assert.True(error is > 1e-5 and < GpuModels.BrainError, $"{count} positions from {first} on: {error:0.0e0}");
        }

        // Many texts at once, each somewhere else.
        GptOssSequence[] sequences = [.. Enumerable.Range(0, 32).Select(_ => device.CreateSequence())];
        int[] lengths = [.. Enumerable.Range(0, 32).Select(i => 1 + (i * 37))];
        float[] logits = new float[32 * RandomCheckpoint.Vocabulary];
        for (int step = 0; step < 3; step++)
        {
            device.ForwardBatch(
                [.. sequences.Select((sequence, i) => new GptOssInput { Sequence = sequence, Tokens = step == 0 ? text.AsMemory(0, lengths[i]) : text.AsMemory(lengths[i] + step - 1, 1) })],
                logits,
                Cancellation);
        }

        float[] rows = [.. lengths.SelectMany(length => expected.AsSpan((length + 1) * RandomCheckpoint.Vocabulary, RandomCheckpoint.Vocabulary).ToArray())];
        Assert.InRange(Models.WorstRow(logits, rows, rows.Length), 1e-5, GpuModels.BrainError);
        Array.ForEach(sequences, sequence => sequence.Dispose());
    }
}
