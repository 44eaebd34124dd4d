namespace Moe.Plugins.GptOss.Tests;

/// <summary>Texts that are continued.</summary>
public sealed class GeneratorTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public void Greedy_tokens_until_the_most()
    {
        using GptOssModel model = Models.Load();
        using GptOssSequence sequence = model.CreateSequence();
        var options = new GptOssGeneration { MaxTokens = 24, Sampling = GptOssSampling.Greedy };
        Assert.Equal(Golden.Generated, GptOssGenerator.Generate(model, sequence, Golden.Prompt, options, Cancellation));
    }

    [Fact]
    public void A_stop_token_is_the_last()
    {
        using GptOssModel model = Models.Load();
        using GptOssSequence sequence = model.CreateSequence();
        int stop = Golden.Generated[10];
        int end = Array.IndexOf(Golden.Generated, stop);
        var options = new GptOssGeneration { MaxTokens = 24, Stops = [stop], Sampling = GptOssSampling.Greedy };
        Assert.Equal(Golden.Generated[..(end + 1)], GptOssGenerator.Generate(model, sequence, Golden.Prompt, options, Cancellation));
    }

    [Fact]
    public void A_banned_token_never_comes()
    {
        using GptOssModel model = Models.Load();
        using GptOssSequence sequence = model.CreateSequence();
        var options = new GptOssGeneration { MaxTokens = 24, Banned = [Golden.Generated[0]], Sampling = GptOssSampling.Greedy };
        Assert.DoesNotContain(Golden.Generated[0], GptOssGenerator.Generate(model, sequence, Golden.Prompt, options, Cancellation));
    }

    [Fact]
    public void The_context_ends_a_text()
    {
        using GptOssModel model = Models.Load(options => options.MaxContext = 32);
        using GptOssSequence sequence = model.CreateSequence();
        var options = new GptOssGeneration { Sampling = GptOssSampling.Greedy };

        // The last token that is chosen needs no place of its own.
        Assert.Equal(Golden.Generated[..4], GptOssGenerator.Generate(model, sequence, Golden.Prompt, options, Cancellation));
    }

    [Fact]
    public void Cancelling_ends_it_at_once()
    {
        using GptOssModel model = Models.Load();
        using GptOssSequence sequence = model.CreateSequence();
        using var source = new CancellationTokenSource();
        using IEnumerator<int> tokens = GptOssGenerator.Generate(model, sequence, Golden.Prompt, new GptOssGeneration(), source.Token).GetEnumerator();
        Assert.True(tokens.MoveNext());
        source.Cancel();
        Assert.Throws<OperationCanceledException>(() => tokens.MoveNext());
    }
}
