using Microsoft.Extensions.AI;

namespace Moe.Plugins.GptOss.Tests;

/// <summary>The client, on the sample model.</summary>
public sealed class ChatClientTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Updates_come_as_one_answer()
    {
        using var sample = new Sample();
        var options = new ChatOptions { Seed = 3, MaxOutputTokens = 400 };
        List<ChatResponseUpdate> updates = [];
        await foreach (ChatResponseUpdate update in sample.Client.GetStreamingResponseAsync("What is a layer?", options, Cancellation))
        {
            updates.Add(update);
        }

        Assert.All(updates, update => Assert.Equal((ChatRole.Assistant, updates[0].ResponseId, "gpt-oss-sample"), (update.Role, update.ResponseId, update.ModelId)));
        Assert.NotNull(updates[^1].FinishReason);
        UsageDetails usage = Assert.Single(updates.SelectMany(update => update.Contents).OfType<UsageContent>()).Details;
        Assert.Equal(updates.Count(update => update.RawRepresentation is int), usage.OutputTokenCount);
        Assert.Equal(usage.InputTokenCount + usage.OutputTokenCount, usage.TotalTokenCount);

        ChatResponse response = await sample.Client.GetResponseAsync("What is a layer?", options, Cancellation);
        Assert.Equal(updates.ToChatResponse().Text, response.Text);
        Assert.NotEmpty(response.Text);
        Assert.DoesNotContain("<|", response.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stop_sequence_ends_the_answer_before_it()
    {
        using var sample = new Sample();
        var options = new ChatOptions { Seed = 3, MaxOutputTokens = 400 };
        ChatResponse whole = await sample.Client.GetResponseAsync("What is a layer?", options, Cancellation);
        string text = whole.Messages.First(message => message.Text.Length > 12).Text;
        string stop = text.Substring(5, 6);
        options.StopSequences = ["not there", stop];
        ChatResponse cut = await sample.Client.GetResponseAsync("What is a layer?", options, Cancellation);
        Assert.Equal(ChatFinishReason.Stop, cut.FinishReason);
        Assert.Equal(text[..text.IndexOf(stop, StringComparison.Ordinal)], cut.Messages.Last(message => message.Text.Length > 0).Text);
        Assert.True(cut.Usage!.OutputTokenCount < whole.Usage!.OutputTokenCount);

        options.StopSequences = [""];
        await Assert.ThrowsAsync<MoeException>(() => sample.Client.GetResponseAsync("Hm?", options, Cancellation));
    }

    [Fact]
    public void Text_is_held_back_while_it_may_be_the_beginning_of_a_stop_sequence()
    {
        var stops = new StopText(["<end>", "nd>x"]);
        Assert.Equal("a ", stops.Add("a <"));
        Assert.Equal("<e ", stops.Add("e "));
        Assert.Equal("b", stops.Add("b<en"));
        Assert.False(stops.HasEnded);
        Assert.Equal("", stops.Add("d>x"));
        Assert.True(stops.HasEnded);
        Assert.Equal("", stops.Add("more") + stops.Flush());

        var open = new StopText(["\n\n"]);
        Assert.Equal("one", open.Add("one\n"));
        Assert.Equal("\n", open.Flush());
    }

    [Fact]
    public async Task Thinking_is_no_part_of_the_text()
    {
        using var sample = new Sample();
        ChatResponse? response = null;
        for (int seed = 0; response is null || !response.Messages.SelectMany(message => message.Contents).OfType<TextReasoningContent>().Any(); seed++)
        {
            Assert.InRange(seed, 0, 50);
            response = await sample.Client.GetResponseAsync("Hm?", new ChatOptions { Seed = seed, MaxOutputTokens = 300 }, Cancellation);
        }

        string thinking = string.Concat(response.Messages.SelectMany(message => message.Contents).OfType<TextReasoningContent>().Select(content => content.Text));
        Assert.NotEmpty(thinking);
        Assert.DoesNotContain(thinking, response.Text, StringComparison.Ordinal);
        Assert.InRange(response.Usage!.ReasoningTokenCount!.Value, 1, response.Usage.OutputTokenCount!.Value - 1);
    }

    [Fact]
    public async Task What_two_requests_share_is_computed_once()
    {
        using var sample = new Sample();
        var options = new ChatOptions { Seed = 1, MaxOutputTokens = 20 };
        ChatResponse first = await sample.Client.GetResponseAsync("One.", options, Cancellation);
        ChatResponse again = await sample.Client.GetResponseAsync("One.", options, Cancellation);
        ChatResponse other = await sample.Client.GetResponseAsync("Two.", options, Cancellation);
        Assert.Equal(0, first.Usage!.CachedInputTokenCount);
        Assert.Equal(again.Usage!.InputTokenCount - 1, again.Usage.CachedInputTokenCount);
        Assert.InRange(other.Usage!.CachedInputTokenCount!.Value, 100, other.Usage.InputTokenCount!.Value - 5);
        Assert.Equal(first.Text, again.Text);
    }

    [Fact]
    public async Task Requests_that_come_together_are_answered_in_turn()
    {
        using var sample = new Sample();
        var options = new ChatOptions { Seed = 1, MaxOutputTokens = 30 };
        string alone = (await sample.Client.GetResponseAsync("One.", options, Cancellation)).Text;
        ChatResponse[] together = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => sample.Client.GetResponseAsync("One.", options, Cancellation)));
        Assert.All(together, response => Assert.Equal(alone, response.Text));
    }

    [Fact]
    public async Task An_answer_that_is_cancelled_or_left_makes_room_for_the_next()
    {
        using var sample = new Sample();
        var endless = new ChatOptions { AdditionalProperties = new() { ["ignore_eos"] = true } };
        using var source = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (ChatResponseUpdate _ in sample.Client.GetStreamingResponseAsync("On and on.", endless, source.Token))
            {
                await source.CancelAsync();
            }
        });

        await foreach (ChatResponseUpdate _ in sample.Client.GetStreamingResponseAsync("On and on.", endless, Cancellation))
        {
            break;
        }

        ChatResponse response = await sample.Client.GetResponseAsync("And now?", new ChatOptions { MaxOutputTokens = 5 }, Cancellation);
        Assert.Equal((5, ChatFinishReason.Length), (response.Usage!.OutputTokenCount, response.FinishReason));
    }

    [Fact]
    public async Task A_chat_beyond_the_context_is_refused()
    {
        using var sample = new Sample();
        MoeException refused = await Assert.ThrowsAsync<MoeException>(() => sample.Client.GetResponseAsync(new string('x', 3000), options: null, Cancellation));
        Assert.Contains("more than the context of 2000", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_no_text_is_refused()
    {
        using var sample = new Sample();
        var picture = new ChatMessage(ChatRole.User, [new UriContent("https://example.org/a.png", "image/png")]);
        NotSupportedException refused = await Assert.ThrowsAsync<NotSupportedException>(() => sample.Client.GetResponseAsync([picture], options: null, Cancellation));
        Assert.Contains("UriContent", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Services_are_the_parts()
    {
        using var sample = new Sample();
        Assert.Same(sample.Client, sample.Client.GetService<GptOssChatClient>());
        Assert.Same(sample.Model, sample.Client.GetService<GptOssModel>());
        Assert.Equal("gpt-oss-sample", sample.Client.GetService<ChatClientMetadata>()!.DefaultModelId);
        Assert.Null(sample.Client.GetService(typeof(string)));
    }
}
