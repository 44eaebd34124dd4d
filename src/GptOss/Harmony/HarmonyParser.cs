using System.Text;

namespace Moe.Plugins.GptOss;

/// <summary>
/// Reads what a model writes, token by token, and never fails at it: a header that is no header becomes content (openai/harmony,
/// <c>src/encoding.rs</c>, <c>StreamableParser</c>). It begins inside of a header of the assistant's.
/// </summary>
internal sealed class HarmonyParser
{
    private readonly GptOssTokenizer _tokenizer;
    private readonly HarmonyTokens _special;
    private readonly StringBuilder _header = new();
    private readonly StringBuilder _content = new();
    private TextStream _text;
    private HarmonyMessage _message = Empty;
    private bool _isHeader = true;

    public HarmonyParser(GptOssTokenizer tokenizer)
    {
        _tokenizer = tokenizer;
        _special = tokenizer.Harmony;
        _text = new TextStream(tokenizer);
    }

    private static HarmonyMessage Empty => new() { Author = HarmonyRole.Assistant, Content = "" };

    /// <summary>The message that is being written; its content so far is not in it.</summary>
    public HarmonyMessage Current => _message;

    /// <summary>Takes the beginning of the header that the prompt has written: all after <c>assistant</c>.</summary>
    public void Begin(IEnumerable<int> tokens)
    {
        foreach (int token in tokens)
        {
            Add(token);
        }
    }

    /// <summary>Takes a token.</summary>
    /// <returns>What it adds to the content of <see cref="Current"/>, and the message if it ends with it.</returns>
    public HarmonyDelta Add(int token)
    {
        if (token == _special.Message && _isHeader)
        {
            _message = HarmonyHeader.Parse(_header.Append(_text.Flush()).ToString());
            StartText(isHeader: false);
            return default;
        }

        if (token == _special.End || token == _special.Return || token == _special.Call || token == _special.EndOfText)
        {
            return End();
        }

        if (token == _special.Start)
        {
            // Without an end before it: what was written until now is a message all the same.
            return _isHeader && _header.Length == 0 ? default : End();
        }

        string text = _tokenizer.IsSpecial(token, out string name) ? _text.Flush() + name : _text.Add(token);
        (_isHeader ? _header : _content).Append(text);
        return _isHeader ? default : new HarmonyDelta(text, null);
    }

    /// <summary>Ends what is open, where the text ended without an end token.</summary>
    public HarmonyDelta End()
    {
        string rest = _text.Flush();
        (_isHeader ? _header : _content).Append(rest);
        if (_isHeader)
        {
            if (_header.ToString().AsSpan().Trim() is "" or HarmonyRole.Assistant)
            {
                StartText(isHeader: true);
                return default;
            }

            // No header, then: what the model wrote is shown rather than lost.
            _message = Empty with { Channel = HarmonyChannel.Final };
            rest = _header.ToString();
            _content.Append(rest);
        }

        HarmonyMessage ended = _message with { Content = _content.ToString() };
        _message = Empty;
        StartText(isHeader: true);
        return new HarmonyDelta(rest, ended);
    }

    private void StartText(bool isHeader)
    {
        _isHeader = isHeader;
        _text = new TextStream(_tokenizer);
        _header.Clear();
        _content.Clear();
    }
}
