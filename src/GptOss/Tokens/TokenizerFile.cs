using System.Collections.Frozen;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.ML.Tokenizers;

namespace Moe.Plugins.GptOss;

/// <summary>
/// Reads a <c>tokenizer.json</c> of byte-level byte-pair encoding (huggingface/tokenizers): vocabulary, merges, the pattern that text is split
/// by, and the special tokens.
/// </summary>
internal sealed class TokenizerFile
{
    /// <summary>Longest file that is read: nine times that of the published models.</summary>
    private const long MostBytes = 256L << 20;

    /// <summary>What a match of a stranger's pattern may take: some patterns never end on some texts.</summary>
    private static readonly TimeSpan MatchTimeout = TimeSpan.FromSeconds(5);

    private readonly string _path;
    private readonly JsonElement _root;

    private TokenizerFile(string path, JsonElement root)
    {
        _path = path;
        _root = root;
    }

    /// <exception cref="MoeException">The file cannot be read, or is of another kind.</exception>
    public static (Tokenizer Encoder, TokenBytes Tokens) Load(string path, int vocabularySize)
    {
        JsonElement root = JsonFile.Read(path, MostBytes);
        try
        {
            return new TokenizerFile(path, root).Load(vocabularySize);
        }
        catch (Exception exception) when (exception is not (MoeException or OutOfMemoryException))
        {
            // What the encoder throws at merges and pieces that do not belong together is not for it to say.
            throw new MoeException(
                MoeReason.Checkpoint, $"'{PlainText.Of(path)}' is no tokenizer of byte-level byte-pair encoding: {PlainText.Of(exception.Message)}", exception);
        }
    }

    private (Tokenizer Encoder, TokenBytes Tokens) Load(int vocabularySize)
    {
        JsonElement model = _root.GetProperty("model");
        Require(!model.TryGetProperty("type", out JsonElement type) || type.GetString() == "BPE", "its model is not BPE");
        Require(!_root.TryGetProperty("normalizer", out JsonElement normalizer) || normalizer.ValueKind == JsonValueKind.Null, "it has a normalizer");
        var vocabulary = model.GetProperty("vocab").EnumerateObject().ToDictionary(entry => entry.Name, entry => entry.Value.GetInt32(), StringComparer.Ordinal);
        Dictionary<int, string> specials = ReadSpecials();
        int highest = vocabulary.Values.Concat(specials.Keys).Max();
        int lowest = vocabulary.Values.Concat(specials.Keys).Min();
        Require(lowest >= 0, $"its lowest id is {lowest}");
        Require(
            highest < vocabularySize,
            $"its highest id is {highest}, and the model's vocabulary ends at {vocabularySize - 1}");

        byte[]?[] bytes = new byte[]?[vocabularySize];
        foreach ((string text, int id) in vocabulary)
        {
            bytes[id] = specials.ContainsKey(id) ? null : ByteAlphabet.ToBytes(text);
        }

        var encoder = BpeTokenizer.Create(new BpeOptions(vocabulary.Where(entry => !specials.ContainsKey(entry.Value)))
        {
            Merges = ReadMerges(model),
            ByteLevel = true,
            PreTokenizer = new CodePointPreTokenizer(ReadPattern()),
        });
        return (encoder, new TokenBytes(bytes, specials.ToFrozenDictionary()));
    }

    private Dictionary<int, string> ReadSpecials() => _root.TryGetProperty("added_tokens", out JsonElement added)
        ? added.EnumerateArray().ToDictionary(token => token.GetProperty("id").GetInt32(), token => token.GetProperty("content").GetString()!)
        : [];

    private static List<string> ReadMerges(JsonElement model) => model.TryGetProperty("merges", out JsonElement merges)
        ? [.. merges.EnumerateArray().Select(merge => merge.ValueKind == JsonValueKind.Array ? $"{merge[0].GetString()} {merge[1].GetString()}" : merge.GetString()!)]
        : [];

    /// <summary>Each match is a piece of its own; without a pattern the whole text is one.</summary>
    private Regex ReadPattern()
    {
        string? pattern = null;
        if (_root.TryGetProperty("pre_tokenizer", out JsonElement first) && first.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonElement step in first.TryGetProperty("pretokenizers", out JsonElement steps) ? [.. steps.EnumerateArray()] : (JsonElement[])[first])
            {
                string? kind = step.GetProperty("type").GetString();
                bool isPlain = kind == "ByteLevel" && !IsTrue(step, "use_regex") && !IsTrue(step, "add_prefix_space");
                bool isSplit = kind == "Split" && pattern is null && step.GetProperty("behavior").GetString() == "Isolated" && !IsTrue(step, "invert");
                Require(isPlain || isSplit, $"its pre_tokenizer '{PlainText.Of(kind)}' is another than Split, Isolated by a pattern, and ByteLevel without one");
                pattern ??= isSplit ? step.GetProperty("pattern").GetProperty("Regex").GetString() : null;
            }
        }

        return new Regex(pattern ?? @"(?s).+", RegexOptions.CultureInvariant, MatchTimeout);
    }

    private static bool IsTrue(JsonElement step, string name) => step.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.True;

    private void Require(bool condition, string what)
    {
        if (!condition)
        {
            throw new MoeException(MoeReason.Checkpoint, $"'{PlainText.Of(_path)}' cannot be used: {what}.");
        }
    }

    /// <summary>
    /// The characters that stand for bytes (openai/gpt-2, <c>src/encoder.py</c>, <c>bytes_to_unicode</c>): printable ones for themselves, the
    /// others from U+0100 on.
    /// </summary>
    private static class ByteAlphabet
    {
        private static readonly Dictionary<char, byte> Bytes = Make();

        public static byte[] ToBytes(string text) => text.All(Bytes.ContainsKey) ? [.. text.Select(c => Bytes[c])] : Encoding.UTF8.GetBytes(text);

        private static Dictionary<char, byte> Make()
        {
            var bytes = new Dictionary<char, byte>();
            int next = 0x100;
            for (int value = 0; value < 256; value++)
            {
                bool isPrintable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE;
                bytes.Add((char)(isPrintable ? value : next++), (byte)value);
            }

            return bytes;
        }
    }
}
