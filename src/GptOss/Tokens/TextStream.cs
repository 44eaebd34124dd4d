using System.Text;

namespace Moe.Plugins.GptOss;

/// <summary>Text as its tokens come: bytes are held back until they are whole characters.</summary>
internal sealed class TextStream(GptOssTokenizer tokenizer)
{
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();

    /// <summary>Takes a token.</summary>
    /// <returns>What can be said now; may be empty.</returns>
    public string Add(int id) => Decode(tokenizer.Bytes(id), flush: false);

    /// <summary>What is left, U+FFFD for half a character.</summary>
    public string Flush() => Decode([], flush: true);

    private string Decode(ReadOnlySpan<byte> bytes, bool flush)
    {
        Span<char> characters = stackalloc char[64];
        int count = _decoder.GetCharCount(bytes, flush);
        if (count > characters.Length)
        {
            characters = new char[count];
        }

        count = _decoder.GetChars(bytes, characters, flush);
        return characters[..count].ToString();
    }
}
