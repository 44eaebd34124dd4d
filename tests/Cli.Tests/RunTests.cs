using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.Cli.Tests;

public sealed class RunTests : IDisposable
{
    private static readonly string[] Keys =
    [
        "backend", "plugin", "plugin_version", "device", "shape", "hidden_size_padded", "intermediate_size_padded",
        "supports_skip_forward_padding", "has_unpadded_output", "microseconds", "relative_error", "max_abs_error", "expected_relative_error",
    ];

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Names =>
        ["tiny", "pad-hidden", "all-codes", "real-hidden", "real-intermediate", "many-experts", "one-token", "every-expert"];

    [Fact]
    public async Task Without_options_it_runs_the_sample_and_verifies_it()
    {
        JsonElement json = (await Cli.Run("run", "--json")).Json();
        Assert.All(Keys, key => Assert.True(json.TryGetProperty(key, out _), $"'{key}' is missing."));
        Assert.Equal(320, json.GetProperty("shape").GetProperty("hidden_size").GetInt32());
        Assert.InRange(json.GetProperty("relative_error").GetDouble(), 0, json.GetProperty("relative_error_limit").GetDouble());
        Assert.InRange(json.GetProperty("expected_relative_error").GetDouble(), 0, json.GetProperty("relative_error_limit").GetDouble());
        Assert.True(json.GetProperty("microseconds").GetDouble() > 0);
        Assert.True(json.GetProperty("passed").GetBoolean());
    }

    [Theory]
    [MemberData(nameof(Names))]
    public async Task A_golden_file_is_right_on_the_cpu(string name)
    {
        string file = _folder.File("out.safetensors");
        string[] arguments = ["run", "--model", Cli.Golden(name), "--backend", "Cpu", "--output-type", "f32", "--verify", "--output", file, "--json"];
        JsonElement json = (await Cli.Run(arguments)).Json();
        Assert.Equal("Cpu", json.GetProperty("backend").GetString());
        Assert.InRange(json.GetProperty("relative_error").GetDouble(), 0, 2e-5);
        Assert.InRange(json.GetProperty("expected_relative_error").GetDouble(), 0, 2e-5);

        using var golden = SafetensorsFile.Open(Cli.Golden(name));
        using var result = SafetensorsFile.Open(file);
        Assert.Equal(golden.Tensors["expected.output"].ToString(), result.Tensors["output"].ToString());
        Assert.Equal(Bytes(golden, "expected.topk_ids"), Bytes(result, "topk_ids"));
        Assert.Equal(golden.Tensors["expected.topk_weights"].ToString(), result.Tensors["topk_weights"].ToString());
    }

    [Theory]
    [InlineData(2, 1)]
    [InlineData(3, 1)]
    [InlineData(1, 4)]
    [InlineData(2, 2)]
    public async Task Ranks_compute_what_one_device_computes(int tensor, int expert)
    {
        string[] arguments =
        [
            "run", "--shape", "8,96,160,2", "--backend", "Cpu", "--tokens", "5", "--output-type", "f32", "--verify", "--json",
            "--tensor-parallel", $"{tensor}", "--expert-parallel", $"{expert}",
        ];
        JsonElement json = (await Cli.Run(arguments)).Json();
        Assert.True(json.GetProperty("passed").GetBoolean());
        Assert.InRange(json.GetProperty("relative_error").GetDouble(), 0, 2e-5);
        Assert.Equal((tensor, expert), (json.GetProperty("tensor_parallel").GetInt32(), json.GetProperty("expert_parallel").GetInt32()));
        Assert.Equal(160, json.GetProperty("shape").GetProperty("intermediate_size").GetInt32());
        Assert.True(json.GetProperty("forwards").GetInt32() > 0);
    }

    [Fact]
    public async Task Nothing_is_verified_that_nobody_asked_for()
    {
        JsonElement json = (await Cli.Run("run", "--model", Cli.Golden("tiny"), "--json")).Json();
        Assert.All(
            ["relative_error", "max_abs_error", "expected_relative_error", "passed"],
            key => Assert.Equal(JsonValueKind.Null, json.GetProperty(key).ValueKind));
    }

    [Fact]
    public async Task Fewer_tokens_are_the_first_ones()
    {
        string file = _folder.File("out.safetensors");
        JsonElement json = (await Cli.Run("run", "--model", Cli.Golden("tiny"), "--tokens", "3", "--verify", "--output", file, "--json")).Json();
        Assert.Equal(3, json.GetProperty("tokens").GetInt32());
        Assert.True(json.GetProperty("passed").GetBoolean());
        using var result = SafetensorsFile.Open(file);
        Assert.Equal("BF16 [3, 64]", result.Tensors["output"].ToString());
    }

    [Theory]
    [InlineData("8,96,64,2", "MXFP4")]
    [InlineData("8,96,64,2:bf16", "BF16")]
    public async Task A_random_layer_is_verified(string shape, string format)
    {
        JsonElement json = (await Cli.Run("run", "--shape", shape, "--backend", "Cpu", "--tokens", "5", "--seed", "3", "--verify", "--json")).Json();
        Assert.Equal(format, json.GetProperty("shape").GetProperty("weight_format").GetString());
        Assert.Equal(5, json.GetProperty("verified_tokens").GetInt32());
        Assert.Equal(JsonValueKind.Null, json.GetProperty("expected_relative_error").ValueKind);
    }

    [Fact]
    public async Task A_result_that_is_not_what_the_file_expects_is_wrong()
    {
        string file = _folder.File("tampered.safetensors");
        using (var golden = SafetensorsFile.Open(Cli.Golden("tiny")))
        {
            var writer = new SafetensorsWriter();
            foreach (SafetensorsTensor tensor in golden.Tensors.Values)
            {
                byte[] data = Bytes(golden, tensor.Name);
                data[3] ^= (byte)(tensor.Name == "expected.output" ? 0x80 : 0);
                writer.Add(tensor.Name, tensor.Type, [.. tensor.Shape], data);
            }

            foreach ((string key, string value) in golden.Metadata)
            {
                writer.Metadata[key] = value;
            }

            writer.Save(file);
        }

        Cli result = await Cli.Run("run", "--model", file, "--verify");
        Assert.Equal(ExitCode.Wrong, result.ExitCode);
        Assert.Contains("WRONG", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Where_all_is_NaN_nothing_is_called_right()
    {
        string file = WriteLayerOfNaN();
        Cli result = await Cli.Run("run", "--model", file, "--backend", "Cpu", "--verify");
        Assert.Equal(ExitCode.Wrong, result.ExitCode);
        Assert.Contains("NOT COMPARED", result.Output, StringComparison.Ordinal);
        Assert.Contains("NaN or infinite in both", result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("right:", result.Output, StringComparison.Ordinal);

        JsonElement json = JsonDocument.Parse((await Cli.Run("run", "--model", file, "--backend", "Cpu", "--verify", "--json")).Output).RootElement;
        Assert.False(json.GetProperty("passed").GetBoolean());
        Assert.Equal((0, 0), (json.GetProperty("compared_values").GetInt64(), json.GetProperty("unwritten_values").GetInt64()));
        Assert.True(json.GetProperty("not_finite_values").GetInt64() > 0);
    }

    [Fact]
    public async Task NaN_in_a_result_is_said_where_nothing_is_compared()
    {
        Cli result = await Cli.Run("run", "--model", WriteLayerOfNaN(), "--backend", "Cpu");
        Assert.Equal(ExitCode.Ok, result.ExitCode);
        Assert.Matches(@"^warning: Of the result's values (\d+) of \1 are NaN or infinite\.\n", result.Error);
        Assert.Equal("", (await Cli.Run("run", "--model", Cli.Golden("tiny"), "--backend", "Cpu")).Error);
    }

    [Fact]
    public async Task What_a_backend_never_wrote_is_found_though_all_is_NaN()
    {
        var services = new ServiceCollection();
        services.AddMoeBackend<IdlePlugin>();
        await using ServiceProvider provider = services.BuildServiceProvider();
        using var input = RunInput.FromCheckpoint(WriteLayerOfNaN(), layerIndex: null, inputPath: null, tokens: null, seed: 1);
        var request = new MoeLayerRequest { Shape = input.Shape, Options = new MoeLayerOptions { MaxTokens = input.Tokens.Rows, InputType = input.Tokens.ElementType } };
        using var layers = RunLayers.Create(
            provider.GetRequiredService<MoeHost>(), request, [MoeDevice.Cpu], (1, 1), group: null, input.Source, progress: null, TestContext.Current.CancellationToken);
        using var run = LayerRun.Execute(layers, input.Tokens, default, TestContext.Current.CancellationToken);
        var check = RunVerification.Check(input, run, limit: 1, TestContext.Current.CancellationToken);
        Assert.Equal((long)input.Tokens.Rows * input.Shape.HiddenSize, check.UnwrittenValues);
        Assert.False(check.Passed);
        Assert.Equal(0.0625, layers.WeightRoundingError);
    }

    [Fact]
    public async Task A_person_reads_what_was_chosen_and_how_right_it_is()
    {
        Cli result = await Cli.Run("run", "--backend", "Cpu");
        Assert.Equal(0, result.ExitCode);
        Assert.All(["Cpu", "padding", "time", "right", "float64", "expected.output"], word => Assert.Contains(word, result.Output, StringComparison.Ordinal));
        Assert.DoesNotContain('\e', result.Output);
        Assert.Equal("", result.Error);
    }

    public void Dispose() => _folder.Dispose();

    /// <summary>A golden layer whose scales are all NaN: E8M0 of 255.</summary>
    private string WriteLayerOfNaN()
    {
        string file = _folder.File("nan.safetensors");
        using var golden = SafetensorsFile.Open(Cli.Golden("tiny"));
        var writer = new SafetensorsWriter();
        foreach (SafetensorsTensor tensor in golden.Tensors.Values.Where(tensor => !tensor.Name.StartsWith("expected", StringComparison.Ordinal)))
        {
            byte[] data = Bytes(golden, tensor.Name);
            if (tensor.Name.EndsWith("_scales", StringComparison.Ordinal))
            {
                Array.Fill(data, byte.MaxValue);
            }

            writer.Add(tensor.Name, tensor.Type, [.. tensor.Shape], data);
        }

        foreach ((string key, string value) in golden.Metadata)
        {
            writer.Metadata[key] = value;
        }

        writer.Save(file);
        return file;
    }

    private static byte[] Bytes(SafetensorsFile file, string name)
    {
        using MoeBuffer buffer = MoeBuffer.OnHost(file.GetTensor(file.Tensors[name]));
        byte[] bytes = new byte[buffer.ByteCount];
        buffer.CopyToBytes(bytes);
        return bytes;
    }
}
