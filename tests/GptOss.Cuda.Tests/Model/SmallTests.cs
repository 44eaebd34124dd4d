using Moe.Plugins.GptOss.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>A short prompt and few steps: each kernel once or twice, for tools under which a launch takes seconds.</summary>
public sealed class SmallTests
{
    private const int Prompt = 3;

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_prompt_and_two_steps_are_as_near_as_bf16_is(int texts)
    {
        using GptOssModel model = GpuModels.Load();
        GptOssSequence[] sequences = [.. Enumerable.Range(0, texts).Select(_ => model.CreateSequence())];
        int vocabulary = model.Config.VocabularySize;
        float[] logits = new float[texts * vocabulary];
        for (int step = 0; step < 3; step++)
        {
            int first = step == 0 ? 0 : Prompt + step - 1, count = step == 0 ? Prompt : 1;
            model.ForwardBatch(
                [.. sequences.Select(sequence => new GptOssInput { Sequence = sequence, Tokens = Golden.Text.AsMemory(first, count) })],
                logits,
                TestContext.Current.CancellationToken);
            float[] expected = Golden.Logits.AsSpan((first + count - 1) * vocabulary, vocabulary).ToArray();
            for (int text = 0; text < texts; text++)
            {
                Assert.InRange(Models.WorstRow(logits.AsSpan(text * vocabulary, vocabulary), expected, vocabulary), 1e-5, 2 * GpuModels.TinyError);
            }
        }

        Array.ForEach(sequences, sequence => sequence.Dispose());
    }
}
