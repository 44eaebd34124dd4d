using System.Collections.Frozen;
using System.IO.Compression;
using System.Reflection;
using System.Text.RegularExpressions;
using Microsoft.ML.Tokenizers;

namespace Moe.Plugins.GptOss;

/// <summary>
/// The published vocabulary: the merges of o200k_base, from the data package of Microsoft.ML.Tokenizers, and harmony's special tokens. Text
/// is encoded by a tokenizer that knows no special token at all: the library's own would turn a user's <c>&lt;|end|&gt;</c> into one.
/// </summary>
internal static partial class O200kHarmony
{
    /// <summary>Rows of the published models' logits.</summary>
    public const int VocabularySize = 201088;

    private const string Assembly = "Microsoft.ML.Tokenizers.Data.O200kBase";
    private const string Resource = "o200k_base.tiktoken.deflate";
    private const int FirstSpecial = 199998;

    public static (Tokenizer Encoder, TokenBytes Tokens) Load()
    {
        byte[] lines = Read();
        var encoder = TiktokenTokenizer.Create(new MemoryStream(lines), new CodePointPreTokenizer(Pattern()), normalizer: null);
        return (encoder, new TokenBytes(ReadBytes(lines), Specials()));
    }

    // openai/harmony, src/tiktoken_ext/public_encodings.rs.
    [GeneratedRegex(
        @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        + @"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        + @"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        RegexOptions.CultureInvariant)]
    private static partial Regex Pattern();

    private static byte[] Read()
    {
        using Stream packed = System.Reflection.Assembly.Load(new AssemblyName(Assembly)).GetManifestResourceStream(Resource)
            ?? throw new MoeException(MoeReason.MissingDependency, $"{Assembly} has no resource {Resource}; another version of the package is expected.");
        using var unpacked = new DeflateStream(packed, CompressionMode.Decompress);
        var lines = new MemoryStream();
        unpacked.CopyTo(lines);
        return lines.ToArray();
    }

    /// <summary>After a first line with the capacity, one token in base64 a line; its rank, and so its id, is the line's number.</summary>
    private static byte[]?[] ReadBytes(byte[] lines)
    {
        byte[]?[] bytes = new byte[]?[VocabularySize];
        using var reader = new StreamReader(new MemoryStream(lines));
        reader.ReadLine();
        for (int id = 0; reader.ReadLine() is { Length: > 0 } line; id++)
        {
            bytes[id] = Convert.FromBase64String(line.Split(' ')[0]);
        }

        return bytes;
    }

    private static FrozenDictionary<int, string> Specials()
    {
        HarmonyTokens own = HarmonyTokens.Published;
        var names = new Dictionary<int, string>
        {
            [199998] = "<|startoftext|>",
            [own.EndOfText] = "<|endoftext|>",
            [own.Return] = "<|return|>",
            [own.Constrain] = "<|constrain|>",
            [own.Channel] = "<|channel|>",
            [own.Start] = "<|start|>",
            [own.End] = "<|end|>",
            [own.Message] = "<|message|>",
            [own.Call] = "<|call|>",
            [200018] = "<|endofprompt|>",
        };
        for (int id = FirstSpecial; id < VocabularySize; id++)
        {
            names.TryAdd(id, $"<|reserved_{id}|>");
        }

        return names.ToFrozenDictionary();
    }
}
