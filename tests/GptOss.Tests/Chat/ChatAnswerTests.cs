using Microsoft.Extensions.AI;

namespace Moe.Plugins.GptOss.Tests;

/// <summary>Tokens of an answer as updates.</summary>
public sealed class ChatAnswerTests
{
    private static readonly GptOssTokenizer Tokenizer = Tokenizers.Published;

    [Fact]
    public void A_preamble_and_a_call()
    {
        HarmonyTokens special = Tokenizer.Harmony;
        ChatResponse response = Answer(
            options: null,
            [special.Channel, .. Tokenizer.Encode("analysis"), special.Message, .. Tokenizer.Encode("Need the weather."), special.End,
                special.Start, .. Tokenizer.Encode("assistant"), special.Channel, .. Tokenizer.Encode("commentary"), special.Message, .. Tokenizer.Encode("Let me see."), special.End,
                special.Start, .. Tokenizer.Encode("assistant"), special.Channel, .. Tokenizer.Encode("commentary to=functions.get_weather "), special.Constrain,
                .. Tokenizer.Encode("json"), special.Message, .. Tokenizer.Encode("{\"location\":\"Bern\"}"), special.Call]);
        Assert.Equal(ChatFinishReason.ToolCalls, response.FinishReason);
        Assert.Equal(["Need the weather."], response.Messages.SelectMany(message => message.Contents).OfType<TextReasoningContent>().Select(content => content.Text));
        FunctionCallContent call = Assert.Single(response.Messages.SelectMany(message => message.Contents).OfType<FunctionCallContent>());
        Assert.Equal("get_weather", call.Name);
        Assert.Null(call.Exception);
        Assert.Equal("Bern", call.Arguments!["location"]!.ToString());
        ChatMessage preamble = Assert.Single(response.Messages, message => message.Text == "Let me see.");
        Assert.Equal("commentary", preamble.AdditionalProperties!["channel"]);
    }

    [Fact]
    public void Arguments_that_are_no_json_are_told_with_the_call()
    {
        HarmonyTokens special = Tokenizer.Harmony;
        ChatResponse response = Answer(
            options: null, [.. Tokenizer.Encode(" to=functions.f"), special.Channel, .. Tokenizer.Encode("commentary"), special.Message, .. Tokenizer.Encode("{oops"), special.Call]);
        Assert.NotNull(Assert.Single(response.Messages.SelectMany(message => message.Contents).OfType<FunctionCallContent>()).Exception);
    }

    [Fact]
    public void A_call_that_is_cut_off_is_none()
    {
        HarmonyTokens special = Tokenizer.Harmony;
        ChatResponse response = Answer(
            options: null, [.. Tokenizer.Encode(" to=functions.f"), special.Channel, .. Tokenizer.Encode("commentary"), special.Message, .. Tokenizer.Encode("{\"a\":")]);
        Assert.Empty(response.Messages.SelectMany(message => message.Contents).OfType<FunctionCallContent>());
        Assert.Equal(ChatFinishReason.Length, response.FinishReason);
    }

    [Fact]
    public void Thinking_that_is_not_wanted_is_kept_for_the_model()
    {
        HarmonyTokens special = Tokenizer.Harmony;
        var options = new ChatOptions { Reasoning = new ReasoningOptions { Output = ReasoningOutput.None } };
        ChatResponse response = Answer(
            options,
            [special.Channel, .. Tokenizer.Encode("analysis"), special.Message, .. Tokenizer.Encode("Hidden."), special.End,
                special.Start, .. Tokenizer.Encode("assistant"), special.Channel, .. Tokenizer.Encode("final"), special.Message, .. Tokenizer.Encode("Seen."), special.Return]);
        TextReasoningContent thinking = Assert.Single(response.Messages.SelectMany(message => message.Contents).OfType<TextReasoningContent>());
        Assert.Equal(("", "Hidden."), (thinking.Text, thinking.ProtectedData));
        Assert.Equal("Seen.", response.Text);
        Assert.Equal(ChatFinishReason.Stop, response.FinishReason);
    }

    private static ChatResponse Answer(ChatOptions? options, int[] tokens)
    {
        var answer = new ChatAnswer(Tokenizer, "m", options);
        answer.Begin(Tokenizer.Encode("assistant"));
        return tokens.Select(answer.Add).Concat(answer.End(promptTokens: 10, cachedTokens: 0)).ToArray().ToChatResponse();
    }
}
