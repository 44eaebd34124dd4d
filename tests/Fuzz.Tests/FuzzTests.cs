using System.Text;
using Microsoft.Extensions.Configuration;
using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.Fuzz;

/// <summary>Whatever somebody else wrote is read or refused, and never more than that.</summary>
public sealed class FuzzTests : IDisposable
{
    internal static readonly byte[][] JsonWords = Texts(
        "{", "}", "[", "]", ",", ":", "\"", "null", "true", "-1", "1e308", "1e999", "9223372036854775807", "18446744073709551616", "\\ud800", "\\u0000",
        "\u00e9", "\u0000", "\ufeff", "{}", "[]", "\"\"", "__metadata__", "dtype", "shape", "data_offsets", "U8", "F4", "BF16", "../x", "weight_map",
        "num_experts_per_tok", "files", "plugins", "0");

    private static readonly byte[][] Shards = Texts("model-1.safetensors", "model-2.safetensors");

    private readonly string _folder = Directory.CreateTempSubdirectory("moe-fuzz-").FullName;
    private readonly ITestOutputHelper _output;

    public FuzzTests(ITestOutputHelper output) => _output = output;

    [Fact]
    public void Safetensors_headers() => Fuzzer.Run(
        Texts(
            """{"__metadata__":{"k":"v"},"a":{"dtype":"U8","shape":[2,4],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[8,16]}}""",
            """{"a":{"dtype":"F4","shape":[2,16],"data_offsets":[0,16]}}      """,
            """{"a":{"shape":[2],"dtype":"F64","data_offsets":[0,16],"more":{"x":[1,2,{"y":null}]}}}"""),
        JsonWords,
        input => SafetensorsHeaderReader.Read("file", input, 16),
        _output);

    [Fact]
    public void Safetensors_files()
    {
        string path = Path.Combine(_folder, "file.safetensors");
        byte[] tiny = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "golden", "tiny.safetensors"));
        Fuzzer.Run(
            [tiny],
            JsonWords,
            input =>
            {
                File.WriteAllBytes(path, input);
                using var checkpoint = Checkpoint.Open(path);
                foreach (CheckpointLayer layer in checkpoint.MoeLayers)
                {
                    _ = layer.Source.GateUp.Values.Rows;
                }
            },
            _output);
    }

    [Fact]
    public void Index_files()
    {
        string path = Path.Combine(_folder, "index.json");
        Fuzzer.Run(
            Texts(
                """{"metadata":{"total_size":1},"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}""",
                """{"weight_map":{}}"""),
            [.. JsonWords, .. Shards],
            input =>
            {
                File.WriteAllBytes(path, input);
                ShardIndex.Read(path, static (_, _) => { });
            },
            _output);
    }

    [Fact]
    public void Model_configs()
    {
        string folder = Directory.CreateDirectory(Path.Combine(_folder, "model")).FullName;
        File.Copy(Path.Combine(AppContext.BaseDirectory, "golden", "tiny.safetensors"), Path.Combine(folder, "model.safetensors"));
        Fuzzer.Run(
            Texts(
                """{"model_type":"gpt_oss","num_local_experts":4,"num_experts_per_tok":2,"swiglu_limit":7.0,"layer_types":["x"]}""",
                """{"num_experts_per_tok":4}"""),
            JsonWords,
            input =>
            {
                File.WriteAllBytes(Path.Combine(folder, "config.json"), input);
                using var checkpoint = Checkpoint.Open(folder);
                _ = checkpoint.MoeLayers.Count;
            },
            _output);
    }

    [Fact]
    public void Lock_files()
    {
        string hash = new('a', 64);
        Fuzzer.Run(
            Texts(
                $$$"""{"format":1,"plugins":[{"id":"Cpu","version":"1.0","files":{"Cpu.dll":"{{{hash}}}","x/y.cu":"{{{hash}}}"}}]}""",
                $$"""{"plugins":[],"format":1}"""),
            [.. JsonWords, .. Texts("format", "\"id\"", "\"version\"", hash)],
            input => PluginLock.Parse("lock", PluginLock.Parse("lock", input).ToJson()),
            _output);
    }

    [Fact]
    public void Plugins()
    {
        string folder = Directory.CreateDirectory(Path.Combine(_folder, "Good")).FullName;
        string fixtures = Path.Combine(AppContext.BaseDirectory, "fixtures");
        Fuzzer.Run(
            [
                File.ReadAllBytes(Path.Combine(fixtures, "Good", "Good.dll")),
                File.ReadAllBytes(Path.Combine(fixtures, "NativeFile", "NativeFile.dll")),
            ],
            Texts("BSJB", "#~", "#Blob", "MZ", "PE\0\0", "MoePluginAttribute", "\u0001\u0000", "\u00ff\u00ff\u00ff\u00ff"),
            input =>
            {
                File.WriteAllBytes(Path.Combine(folder, "Good.dll"), input);
                MoePluginFolder.Read(folder);
            },
            _output);
    }

    [Fact]
    public void Options()
    {
        string[] names = ["Backend", "Order", "Layers", "Fallback", "PluginFolders", "Device", "StagingFolder", "Trust", "LockFile", "TrustKeys", "Trial", "ActivationTimeout", "Plugins"];
        Fuzzer.Run(
            Texts(
                "Moe:Backend=auto\nMoe:Order:0=Bf16\nMoe:Order:1=Cpu\nMoe:Layers:model.*=Cpu\nMoe:Fallback=Warn\nMoe:Device=cuda:0",
                "Moe:Plugins:Cpu:Threads=8\nMoe:Plugins:Cpu:a:b=1\nMoe:PluginFolders=a,b\nMoe:ActivationTimeout=00:00:10",
                "Moe:Trust=Signed\nMoe:TrustKeys:0=key.pem\nMoe:LockFile=lock.json\nMoe:Trial=Child\nMoe:StagingFolder=/tmp/x"),
            Texts([.. names, "Moe:", ":", "::", "=", "\n", "*", "?", ",", "-1", "99.99:99:99", "cuda:-1", "cuda:99999999999", "\u0000"]),
            input =>
            {
                MoeOptions options = MoeOptions.From(new ConfigurationBuilder().AddInMemoryCollection(Pairs(input)).Build());
                MoeOptionsValidator.Check(options);
                _ = (options.LockFilePath, options.SettingsOf("Cpu").Count);
                PluginFinder.ResolveFolders(options.PluginFolders);
            },
            _output);
    }

    [Fact]
    public void A_file_that_is_too_long_is_not_read_at_all()
    {
        string path = Path.Combine(_folder, "index.json");
        using (FileStream stream = File.Create(path))
        {
            stream.SetLength(ShardIndex.MaxByteCount + 1);
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("at most", Assert.Throws<MoeException>(() => ShardIndex.Read(path, static (_, _) => { })).Message, StringComparison.Ordinal);
        Assert.Contains("at most", Assert.Throws<MoeException>(() => PluginLock.ReadBytes(path)).Message, StringComparison.Ordinal);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    internal static byte[][] Texts(params string[] texts) => [.. texts.Select(Encoding.UTF8.GetBytes)];

    // Duplicate keys are as in a file: the last one counts.
    private static Dictionary<string, string?> Pairs(byte[] input)
    {
        var pairs = new Dictionary<string, string?>(StringComparer.OrdinalIgnoreCase);
        foreach (string line in Encoding.UTF8.GetString(input).Split('\n'))
        {
            int at = line.IndexOf('=', StringComparison.Ordinal);
            pairs[at < 0 ? line : line[..at]] = at < 0 ? null : line[(at + 1)..];
        }

        return pairs;
    }
}
