using Moe.Plugins.GptOss.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>A short prompt and few steps: each kernel once or twice, for tools under which a launch takes seconds.</summary>
public sealed class SmallTests
{
    private const int Prompt = 3;

    [Fact]
    public void A_prompt_and_two_steps_of_one_text_are_as_near_as_bf16_is() => Check(texts: 1);

    [Fact]
    public void A_prompt_and_two_steps_of_three_texts_are_as_near_as_bf16_is() => Check(texts: 3);

    /// <summary>The likeliest token, one of all, and one of a nucleus, as the host chooses them from the same logits.</summary>
    [Fact]
    public void Tokens_are_chosen_as_the_host_chooses_them()
    {
        using GptOssModel model = GpuModels.Load();
        GptOssSampling[] ways = [GptOssSampling.Greedy, new() { Seed = 1 }, new() { Seed = 1, TopP = 0.7 }];
        GptOssSequence[] sequences = [.. ways.Select(_ => model.CreateSequence())];
        int vocabulary = model.Config.VocabularySize;
        float[] logits = new float[ways.Length * vocabulary];
        int[] chosen = new int[ways.Length];
        model.ForwardBatch(Inputs(sequences, 0, Prompt), logits, TestContext.Current.CancellationToken);
        Array.ForEach(sequences, sequence => sequence.Truncate(0));
        model.Choose(Inputs(sequences, 0, Prompt), chosen, [.. ways.Select(way => new Sampler(way))], [], TestContext.Current.CancellationToken);
        Assert.Equal(ways.Select((way, i) => new Sampler(way).Next(logits.AsSpan(i * vocabulary, vocabulary))), chosen);
        Array.ForEach(sequences, sequence => sequence.Dispose());
    }

    private static GptOssInput[] Inputs(GptOssSequence[] sequences, int first, int count) =>
        [.. sequences.Select(sequence => new GptOssInput { Sequence = sequence, Tokens = Golden.Text.AsMemory(first, count) })];

    private static void Check(int texts)
    {
        using GptOssModel model = GpuModels.Load();
        GptOssSequence[] sequences = [.. Enumerable.Range(0, texts).Select(_ => model.CreateSequence())];
        int vocabulary = model.Config.VocabularySize;
        float[] logits = new float[texts * vocabulary];
        for (int step = 0; step < 3; step++)
        {
            int first = step == 0 ? 0 : Prompt + step - 1, count = step == 0 ? Prompt : 1;
            model.ForwardBatch(Inputs(sequences, first, count), logits, TestContext.Current.CancellationToken);
            float[] expected = Golden.Logits.AsSpan((first + count - 1) * vocabulary, vocabulary).ToArray();
            for (int text = 0; text < texts; text++)
            {
                Assert.InRange(Models.WorstRow(logits.AsSpan(text * vocabulary, vocabulary), expected, vocabulary), 1e-5, 2 * GpuModels.TinyError);
            }
        }

        Array.ForEach(sequences, sequence => sequence.Dispose());
    }
}
