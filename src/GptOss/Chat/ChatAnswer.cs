using Microsoft.Extensions.AI;

namespace Moe.Plugins.GptOss;

/// <summary>Turns the tokens of one answer into updates. Each of harmony's messages is a message of its own.</summary>
internal sealed class ChatAnswer
{
    private readonly GptOssTokenizer _tokenizer;
    private readonly HarmonyParser _parser;
    private readonly string _modelId;
    private readonly bool _hidesThinking;
    private readonly StopText _stops;
    private readonly string _responseId = Guid.NewGuid().ToString("N");
    private int _messages;
    private int _outputTokens;
    private int _thinkingTokens;
    private bool _hasCalled;
    private bool _hasStopped;

    public ChatAnswer(GptOssTokenizer tokenizer, string modelId, ChatOptions? options)
    {
        _tokenizer = tokenizer;
        _modelId = modelId;
        _hidesThinking = options?.Reasoning?.Output == ReasoningOutput.None;
        _stops = new StopText(options?.StopSequences);
        _parser = new HarmonyParser(tokenizer);
    }

    /// <summary>Whether a stop sequence has ended the answer, which ends before it.</summary>
    public bool HasEnded => _stops.HasEnded;

    /// <summary>Takes what the prompt says of the answer's first header.</summary>
    public void Begin(IEnumerable<int> header) => _parser.Begin(header);

    /// <summary>Takes a token.</summary>
    /// <returns>What can be shown now, which may be nothing. The token itself is the update's raw representation.</returns>
    public ChatResponseUpdate Add(int token)
    {
        _outputTokens++;
        _thinkingTokens += _parser.Current.Channel == HarmonyChannel.Analysis ? 1 : 0;
        _hasStopped |= _tokenizer.Harmony.Stops.Contains(token);
        HarmonyMessage before = _parser.Current;
        ChatResponseUpdate update = Show(before, _parser.Add(token));
        update.RawRepresentation = token;
        return update;
    }

    /// <summary>What is left, and how the answer ended.</summary>
    /// <param name="promptTokens">Tokens that were read.</param>
    /// <param name="cachedTokens">Those among them whose keys and values were there already.</param>
    public IEnumerable<ChatResponseUpdate> End(int promptTokens, int cachedTokens)
    {
        HarmonyMessage before = _parser.Current;
        if (!HasEnded)
        {
            yield return Show(before, _parser.End());
        }

        ChatResponseUpdate last = Update(new UsageContent(new UsageDetails
        {
            InputTokenCount = promptTokens,
            CachedInputTokenCount = cachedTokens,
            OutputTokenCount = _outputTokens,
            ReasoningTokenCount = _thinkingTokens,
            TotalTokenCount = promptTokens + _outputTokens,
        }));
        last.FinishReason = _hasCalled ? ChatFinishReason.ToolCalls : _hasStopped || HasEnded ? ChatFinishReason.Stop : ChatFinishReason.Length;
        yield return last;
    }

    private ChatResponseUpdate Show(HarmonyMessage before, HarmonyDelta delta)
    {
        // What a header turned out to be is known only with the message that ended.
        HarmonyMessage message = delta.Ended ?? before;
        AIContent? content = message.IsCall ? ToCall(delta.Ended)
            : message.Channel == HarmonyChannel.Analysis ? Thinking(delta)
            : Said(delta);
        ChatResponseUpdate update = Update(content);
        if (message is { Channel: HarmonyChannel.Commentary, IsCall: false })
        {
            update.AdditionalProperties = new() { [ChatConversation.ChannelProperty] = HarmonyChannel.Commentary };
        }

        _messages += delta.Ended is null ? 0 : 1;
        return update;
    }

    private TextContent? Said(HarmonyDelta delta)
    {
        string text = _stops.Add(delta.Text);
        text += delta.Ended is null ? "" : _stops.Flush();
        return text.Length == 0 ? null : new TextContent(text);
    }

    private FunctionCallContent? ToCall(HarmonyMessage? ended)
    {
        // A call that was cut off is none.
        if (ended is null || !_hasStopped)
        {
            return null;
        }

        _hasCalled = true;
        return ChatConversation.ToCall(ended, $"call_{_responseId}_{_messages}");
    }

    private TextReasoningContent? Thinking(HarmonyDelta delta)
    {
        if (_hidesThinking)
        {
            // Kept for the model, which needs it between a call and the answer.
            return delta.Ended is { } ended ? new TextReasoningContent("") { ProtectedData = ended.Content } : null;
        }

        return string.IsNullOrEmpty(delta.Text) ? null : new TextReasoningContent(delta.Text);
    }

    private ChatResponseUpdate Update(AIContent? content) => new(ChatRole.Assistant, content is null ? [] : [content])
    {
        ResponseId = _responseId,
        MessageId = $"{_responseId}-{_messages}",
        ModelId = _modelId,
        CreatedAt = DateTimeOffset.UtcNow,
    };
}
