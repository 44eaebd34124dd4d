namespace Moe.Plugins.GptOss.Tests;

/// <summary>The tiny model against transformers' float64.</summary>
public sealed class GoldenTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public void Logits_are_right_at_every_position()
    {
        using GptOssModel model = Models.Load();
        float[] logits = Models.AllLogits(model, Golden.Text);
        Assert.InRange(Models.WorstRow(logits, Golden.Logits, model.Config.VocabularySize), 0, Models.Float32Error);
    }

    // BF16 moves router logits, and a few tokens of random weights to another expert: the error of all positions together is what is bounded.
    [Theory]
    [InlineData(MoeElementType.BFloat16, MoeElementType.Float32)]
    [InlineData(MoeElementType.Float32, MoeElementType.BFloat16)]
    public void In_bf16_logits_are_as_near_as_bf16_is(MoeElementType activationType, MoeElementType cacheType)
    {
        using GptOssModel model = Models.Load(options => (options.ActivationType, options.CacheType) = (activationType, cacheType));
        float[] logits = Models.AllLogits(model, Golden.Text);
        Assert.InRange(Models.WorstRow(logits, Golden.Logits, logits.Length), 1e-5, 2e-2);
    }

    [Fact]
    public void Hidden_states_are_right_after_each_layer()
    {
        using GptOssModel model = Models.Load();
        int hidden = model.Config.HiddenSize;
        var found = new float[model.Config.LayerCount + 1][];
        for (int layer = 0; layer < found.Length; layer++)
        {
            found[layer] = new float[Golden.Text.Length * hidden];
        }

        ((CpuEngine)model.Engine).Forwards.Observer = (layer, token, row) => row.CopyTo(found[layer].AsSpan(token * hidden));
        Models.AllLogits(model, Golden.Text);
        for (int layer = 0; layer < found.Length; layer++)
        {
            Assert.InRange(Models.WorstRow(found[layer], Golden.Hidden(layer), hidden), 0, Models.Float32Error);
        }
    }

    [Fact]
    public void Greedy_tokens_are_the_same()
    {
        using GptOssModel model = Models.Load();
        using GptOssSequence sequence = model.CreateSequence();
        float[] logits = new float[model.Config.VocabularySize];
        model.Forward(sequence, Golden.Prompt, logits, Cancellation);
        var generated = new List<int> { Models.Best(logits) };
        while (generated.Count < Golden.Generated.Length)
        {
            model.Forward(sequence, new[] { generated[^1] }, logits, Cancellation);
            generated.Add(Models.Best(logits));
        }

        Assert.Equal(Golden.Generated, generated);
    }
}
