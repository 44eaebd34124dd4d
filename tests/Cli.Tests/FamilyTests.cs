using System.Text.Json;
using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.Cli.Tests;

/// <summary>Checkpoints of families other than GPT-OSS on the command line.</summary>
public sealed class FamilyTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Theory]
    [InlineData("qwen3.5-moe")]
    [InlineData("deepseek-v4-native")]
    [InlineData("minimax-m3")]
    public async Task Input_and_expectation_come_from_another_file(string name)
    {
        string input = Path.Combine(Cli.Family(name), "expected.safetensors");
        string[] arguments = ["run", "--model", Cli.Family(name), "--layer", "1", "--input", input, "--backend", "Cpu", "--output-type", "f32", "--verify", "--json"];
        JsonElement json = (await Cli.Run(arguments)).Json();
        Assert.Equal(13, json.GetProperty("tokens").GetInt32());
        Assert.InRange(json.GetProperty("relative_error").GetDouble(), 0, 2e-5);
        Assert.InRange(json.GetProperty("expected_relative_error").GetDouble(), 0, 2e-5);
    }

    [Fact]
    public async Task A_layer_that_looks_experts_up_by_token_runs()
    {
        JsonElement json = (await Cli.Run("run", "--model", Cli.Family("deepseek-v4-native"), "--layer", "0", "--backend", "Cpu", "--verify", "--json")).Json();
        Assert.True(json.GetProperty("passed").GetBoolean());
    }

    [Fact]
    public async Task A_layer_that_the_caller_routes_is_not_run_by_itself()
    {
        Cli result = await Cli.Run("run", "--model", Cli.Family("phimoe"));
        Assert.Equal(ExitCode.BadInput, result.ExitCode);
        Assert.Contains("SparseMixer", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_input_file_without_input_is_named()
    {
        string file = Path.Combine(Cli.Family("olmoe"), "model.safetensors");
        Cli result = await Cli.Run("run", "--model", Cli.Family("olmoe"), "--input", file);
        Assert.Equal(ExitCode.BadInput, result.ExitCode);
        Assert.Contains("no tensor 'input'", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Inspect_says_what_a_layer_computes()
    {
        Cli result = await Cli.Run("inspect", Cli.Family("deepseek-v3"));
        Assert.Equal(0, result.ExitCode);
        Assert.All(
            ["DeepSeek-V3", "sigmoid router", "2 of 4 groups", "selection bias", "times 2.5", "gated SiLU", "shared experts: width 64, BF16"],
            words => Assert.Contains(words, result.Output, StringComparison.Ordinal));
        JsonElement layer = (await Cli.Run("inspect", Cli.Family("deepseek-v3"), "--json")).Json().GetProperty("layers")[0];
        Assert.Equal("DeepSeek-V3", layer.GetProperty("family").GetString());
        Assert.Equal(2.5, layer.GetProperty("router").GetProperty("scale").GetDouble());
        Assert.Equal(64, layer.GetProperty("shared_experts").GetProperty("intermediate_size").GetInt32());
    }

    [Theory]
    [InlineData("model.layers.0.mlp.experts.0.gate_proj.weight", "some_new_moe")]
    [InlineData("model.layers.0.mlp.gate_proj.weight", "llama")]
    public async Task Inspect_of_a_model_that_is_not_read_exits_with_2(string tensor, string type)
    {
        var writer = new SafetensorsWriter();
        writer.Add(tensor, SafetensorsType.BF16, [1, 1], new byte[2]);
        writer.Save(_folder.File("model.safetensors"));
        await File.WriteAllTextAsync(_folder.File("config.json"), $$"""{"model_type":"{{type}}"}""", TestContext.Current.CancellationToken);
        Cli result = await Cli.Run("inspect", Path.GetDirectoryName(_folder.File("config.json"))!);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(type, result.Error, StringComparison.Ordinal);
        Assert.Contains("Mixtral", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_quantised_model_runs()
    {
        string output = Path.Combine(Path.GetDirectoryName(_folder.File("x"))!, "out");
        JsonElement json = (await Cli.Run("quantize", "--to", "mxfp4", Cli.Family("qwen3-next"), "--output", output, "--json")).Json();
        Assert.InRange(json.GetProperty("layers")[0].GetProperty("relative_error").GetDouble(), 0.05, 0.13);
        JsonElement run = (await Cli.Run("run", "--model", output, "--backend", "Cpu", "--output-type", "f32", "--verify", "--json")).Json();
        Assert.Equal("MXFP4", run.GetProperty("shape").GetProperty("weight_format").GetString());
        Assert.True(run.GetProperty("passed").GetBoolean());
        Assert.Equal(ExitCode.BadInput, (await Cli.Run("quantize", "--to", "int4", Cli.Family("olmoe"), "--output", output)).ExitCode);
    }

    public void Dispose() => _folder.Dispose();
}
