using System.Text;
using System.Text.RegularExpressions;
using Microsoft.ML.Tokenizers;

namespace Moe.Plugins.GptOss;

/// <summary>Text to tokens and back. Special tokens are made from ids alone: whatever text says, it stays text.</summary>
/// <remarks>Thread-safe.</remarks>
public sealed class GptOssTokenizer
{
    private const string FileName = "tokenizer.json";

    private readonly Tokenizer _encoder;
    private readonly TokenBytes _tokens;

    private GptOssTokenizer(Tokenizer encoder, TokenBytes tokens, HarmonyTokens harmony)
    {
        _encoder = encoder;
        _tokens = tokens;
        Harmony = harmony;
    }

    /// <summary>The tokens that messages are built with.</summary>
    public HarmonyTokens Harmony { get; }

    /// <summary>
    /// The tokenizer of a model: the folder's <c>tokenizer.json</c> if there is one, else o200k_harmony, if the vocabulary has its size.
    /// </summary>
    /// <param name="folder">The model's folder.</param>
    /// <param name="vocabularySize">Rows of the model's logits.</param>
    /// <exception cref="MoeException">The file cannot be used or does not fit the vocabulary, lacks one of harmony's tokens, or there is none and the vocabulary is another.</exception>
    public static GptOssTokenizer Open(string folder, int vocabularySize)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(vocabularySize);
        string path = Path.Combine(folder, FileName);
        if (File.Exists(path))
        {
            (Tokenizer encoder, TokenBytes tokens) = TokenizerFile.Load(path, vocabularySize);
            return new GptOssTokenizer(encoder, tokens, FindHarmony(path, tokens));
        }

        if (vocabularySize != O200kHarmony.VocabularySize)
        {
            throw new MoeException(
                MoeReason.Checkpoint,
                $"'{PlainText.Of(folder)}' has no {FileName}, and its vocabulary of {vocabularySize} is not that of o200k_harmony, {O200kHarmony.VocabularySize}: "
                + "its tokens have no text. Give token ids instead.");
        }

        (Tokenizer published, TokenBytes publishedTokens) = O200kHarmony.Load();
        return new GptOssTokenizer(published, publishedTokens, HarmonyTokens.Published);
    }

    /// <summary>The tokens of a text, none of them special.</summary>
    /// <exception cref="MoeException">The pattern by which the model's <c>tokenizer.json</c> splits text does not end on this one.</exception>
    public IReadOnlyList<int> Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        try
        {
            return _encoder.EncodeToIds(text);
        }
        catch (RegexMatchTimeoutException exception)
        {
            throw new MoeException(
                MoeReason.Checkpoint,
                $"The pattern by which the model's {FileName} splits text, {PlainText.Of(exception.Pattern)}, does not end on a text of {text.Length} characters.",
                exception);
        }
    }

    /// <summary>The bytes of a token's text: UTF-8 once all tokens of a character are there. Empty for special tokens and unused ids.</summary>
    public ReadOnlySpan<byte> Bytes(int id) => (uint)id < (uint)_tokens.Bytes.Length ? _tokens.Bytes[id] : default;

    /// <summary>Whether an id is a special token, and its name.</summary>
    public bool IsSpecial(int id, out string name)
    {
        bool isSpecial = _tokens.Specials.TryGetValue(id, out string? found);
        name = found ?? "";
        return isSpecial;
    }

    /// <summary>Whether an id means nothing: a model that was trained never chooses it.</summary>
    public bool IsReserved(int id) =>
        (uint)id >= (uint)_tokens.Bytes.Length
        || (_tokens.Bytes[id] is null && (!IsSpecial(id, out string name) || name.StartsWith("<|reserved", StringComparison.Ordinal)));

    /// <summary>Text for people: special tokens by their names, bytes that are no text as U+FFFD.</summary>
    public string Decode(IEnumerable<int> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var text = new StringBuilder();
        var stream = new TextStream(this);
        foreach (int id in ids)
        {
            text.Append(IsSpecial(id, out string name) ? stream.Flush() + name : stream.Add(id));
        }

        return text.Append(stream.Flush()).ToString();
    }

    private static HarmonyTokens FindHarmony(string path, TokenBytes tokens)
    {
        int Find(string name)
        {
            foreach ((int id, string special) in tokens.Specials)
            {
                if (special == name)
                {
                    return id;
                }
            }

            throw new MoeException(MoeReason.Checkpoint, $"'{PlainText.Of(path)}' has no special token {name}, which harmony's messages need.");
        }

        return new HarmonyTokens
        {
            Start = Find("<|start|>"),
            End = Find("<|end|>"),
            Message = Find("<|message|>"),
            Channel = Find("<|channel|>"),
            Constrain = Find("<|constrain|>"),
            Return = Find("<|return|>"),
            Call = Find("<|call|>"),
            EndOfText = Find("<|endoftext|>"),
        };
    }
}
