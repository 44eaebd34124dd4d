using System.Text;
using System.Text.Json;
using Moe.Plugins.GptOss;

namespace Moe.Plugins.Fuzz;

/// <summary>What comes with a whole model, what a model writes, and what its users hand it.</summary>
public sealed class ModelFuzzTests : IDisposable
{
    private const int VocabularySize = 300;

    /// <summary>An encoder has tables of its own, whatever the file has.</summary>
    private const long TokenizerAllowance = 8 << 20;

    private static readonly string[] Merges = ["a b", "a a", "\u0120 a"];

    private readonly string _folder = Directory.CreateTempSubdirectory("moe-fuzz-").FullName;
    private readonly ITestOutputHelper _output;

    public ModelFuzzTests(ITestOutputHelper output) => _output = output;

    [Fact]
    public void Configs()
    {
        string path = Path.Combine(_folder, "config.json");
        Fuzzer.Run(
            [File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "golden", "gpt-oss-tiny", "config.json"))],
            [.. FuzzTests.JsonWords, .. FuzzTests.Texts("rope_scaling", "rope_parameters", "layer_types", "num_hidden_layers", "268435455", "\"yarn\"", "1e-320")],
            input =>
            {
                File.WriteAllBytes(path, input);
                GptOssConfig.Read(path);
            },
            _output);
    }

    [Fact]
    public void Tokenizers()
    {
        string path = Path.Combine(_folder, "tokenizer.json");
        Fuzzer.Run(
            [Tokenizer()],
            [
                .. FuzzTests.JsonWords,
                .. FuzzTests.Texts("model", "vocab", "merges", "pre_tokenizer", "Split", "(a*)*b", "(?<x>(", "a{9999999}", "\\\\p{L}", "[\"a\",\"b\"]", "\"a b\"", "300", "-1", "id", "\u0120"),
            ],
            input =>
            {
                File.WriteAllBytes(path, input);
                var tokenizer = GptOssTokenizer.Open(_folder, VocabularySize);
                _ = tokenizer.Decode(tokenizer.Encode("ab aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa c\U0001F600\ud800"));
            },
            _output,
            allowance: TokenizerAllowance);
    }

    /// <summary>Whatever a model writes is read; a parser of its text refuses nothing, so the words are refused that it has no tokens for.</summary>
    [Fact]
    public void What_a_model_writes()
    {
        File.WriteAllBytes(Path.Combine(_folder, "tokenizer.json"), Tokenizer());
        var tokenizer = GptOssTokenizer.Open(_folder, VocabularySize);
        Fuzzer.Run(
            [[195, 97, 98, 194, 97, 10, 20, 30, 31, 32, 193, 192, 98], [98, 195, 97, 196, 32, 98, 194, 5, 6, 198], [5, 6, 7, 199]],
            [[0], [255], [200, 128, 128]],
            input =>
            {
                var parser = new HarmonyParser(tokenizer);
                int written = 0;
                foreach (byte token in input)
                {
                    // The special tokens stand from 260 on; the upper quarter of the bytes means them, and some beyond all tokens.
                    HarmonyDelta delta = parser.Add(token >= 192 ? token + 68 : token);
                    written += (delta.Text ?? "").Length;
                }

                _ = parser.End();
                Refuse(written == 0);
            },
            _output);
    }

    [Fact]
    public void Schemas_of_functions() => Fuzzer.Run(
        FuzzTests.Texts(
            """{"type":"object","properties":{"a":{"type":"string","enum":["x","y"],"default":"x","description":"d"},"b":{"type":["number","null"]}},"required":["a"]}""",
            """{"type":"object","properties":{"a":{"oneOf":[{"type":"integer"},{"type":"array","items":{"type":"string","nullable":true}}],"title":"t","examples":["e",1]}}}"""),
        [.. FuzzTests.JsonWords, .. FuzzTests.Texts("oneOf", "anyOf", "enum", "items", "required", "properties", "default", "$ref")],
        input =>
        {
            try
            {
                // What a function's schema is parsed by is its caller's affair.
                TypeScript.Declare(new HarmonyFunction("f", "line\nline", JsonDocument.Parse(input).RootElement));
            }
            catch (Exception exception) when (exception is JsonException or ArgumentException)
            {
                throw new MoeException(MoeReason.Configuration, exception.Message);
            }
        },
        _output);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static void Refuse(bool isRefused)
    {
        if (isRefused)
        {
            throw new MoeException(MoeReason.Checkpoint, "nothing was written");
        }
    }

    // All bytes, a few merges, and harmony's special tokens from 260 on.
    private static byte[] Tokenizer()
    {
        var vocabulary = new Dictionary<string, int>();
        int next = 0x100;
        for (int value = 0; value < 256; value++)
        {
            bool isPrintable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE;
            vocabulary.Add(((char)(isPrintable ? value : next++)).ToString(), value);
        }

        vocabulary.Add("ab", 256);
        vocabulary.Add("aa", 257);
        vocabulary.Add("\u0120a", 258);
        string[] special = ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|return|>", "<|call|>", "<|endoftext|>"];
        return Encoding.UTF8.GetBytes(JsonSerializer.Serialize(new
        {
            added_tokens = special.Select((content, i) => new { id = 260 + i, content, special = true }),
            normalizer = (string?)null,
            pre_tokenizer = new
            {
                type = "Sequence",
                pretokenizers = new object[]
                {
                    new { type = "Split", pattern = new { Regex = @" ?\p{L}+|\s+(?!\S)|[^\s]" }, behavior = "Isolated", invert = false },
                    new { type = "ByteLevel", add_prefix_space = false, trim_offsets = false, use_regex = false },
                },
            },
            model = new { type = "BPE", vocab = vocabulary, merges = Merges },
        }));
    }
}
