namespace Moe.Plugins.GptOss;

/// <summary>
/// Writes messages as tokens: start, header, message, content, end, and nothing between two (openai/harmony, <c>src/encoding.rs</c>). Header
/// and content are encoded as text, so that nothing in them becomes a special token.
/// </summary>
internal sealed class HarmonyWriter(GptOssTokenizer tokenizer)
{
    private readonly HarmonyTokens _special = tokenizer.Harmony;
    private readonly List<int> _tokens = [];

    /// <summary>What was written so far.</summary>
    public IReadOnlyList<int> Tokens => _tokens;

    public void Write(HarmonyMessage message)
    {
        _tokens.Add(_special.Start);
        Text(message.Recipient is null ? message.Author : $"{message.Author} to={message.Recipient}");
        if (message.Channel is not null)
        {
            _tokens.Add(_special.Channel);
            Text(message.Channel);
        }

        if (message.ContentType is not null)
        {
            Text(" ");
            _tokens.Add(_special.Constrain);
            Text(message.ContentType);
        }

        _tokens.Add(_special.Message);
        Text(message.Content);
        _tokens.Add(message.IsCall ? _special.Call : _special.End);
    }

    /// <summary>Begins the message that the model is to write.</summary>
    /// <param name="channel">The channel that it must choose; null leaves it to the model.</param>
    /// <param name="recipient">The tool, or the beginning of its name, that it must call; null leaves it to the model.</param>
    public void BeginAnswer(string? channel = null, string? recipient = null)
    {
        _tokens.Add(_special.Start);
        Text(HarmonyRole.Assistant);
        if (channel is not null)
        {
            _tokens.Add(_special.Channel);
            Text(recipient is null ? channel : $"{channel} to={recipient}");
        }
    }

    private void Text(string text) => _tokens.AddRange(tokenizer.Encode(text));
}
