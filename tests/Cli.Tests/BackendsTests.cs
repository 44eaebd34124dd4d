using System.Text.Json;

namespace Moe.Plugins.Cli.Tests;

public sealed class BackendsTests
{
    [Fact]
    public async Task The_cpu_is_listed_as_it_is()
    {
        JsonElement json = (await Cli.Run("backends", "--shape", "8,320,192,4", "--json")).Json();
        JsonElement cpu = json.GetProperty("backends").EnumerateArray().Single(backend => backend.GetProperty("backend").GetString() == "Cpu");
        Assert.True(cpu.GetProperty("supported").GetBoolean());
        Assert.Equal("cpu", cpu.GetProperty("device").GetString());
        Assert.Equal(320, cpu.GetProperty("hidden_size_padded").GetInt32());
        Assert.True(cpu.GetProperty("supports_skip_forward_padding").GetBoolean());
        Assert.True(cpu.GetProperty("has_unpadded_output").GetBoolean());
        Assert.True(File.Exists(cpu.GetProperty("path").GetString()));
        Assert.NotEqual("", cpu.GetProperty("version").GetString());
    }

    [Fact]
    public async Task Explain_says_what_auto_picks()
    {
        Cli result = await Cli.Run("backends", "--explain");
        Assert.Equal(0, result.ExitCode);
        Assert.All(["Cpu", "score", "state"], word => Assert.Contains(word, result.Output, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_pattern_of_layers_that_names_an_unknown_backend_is_said_with_the_backends_that_are_there()
    {
        const string Sentence = "Moe:Layers:model.* names the backend 'Cpux', which was not found. Did you mean 'Cpu'? Found: ";
        (string, string)[] environment = [("Moe__Layers__model.*", "Cpux"), ("COLUMNS", "1000")];

        Cli text = await Cli.RunProgramIn(environment, "backends");
        JsonElement json = (await Cli.RunProgramIn(environment, "backends", "--json")).Json();

        Assert.Equal((ExitCode.Ok, ""), (text.ExitCode, text.Error));
        Assert.Single(text.Output.Split('\n'), line => line.StartsWith(Sentence, StringComparison.Ordinal));
        string said = Assert.Single(json.GetProperty("unknown_backends").EnumerateArray()).GetString()!;
        Assert.StartsWith(Sentence, said, StringComparison.Ordinal);
        Assert.Contains("Cpu", said[Sentence.Length..], StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_backend_of_all_layers_is_said_once()
    {
        Cli text = await Cli.RunProgramIn([("Moe__Backend", "Nobody"), ("COLUMNS", "1000")], "backends");

        Assert.Single(text.Output.Split('\n'), line => line.Contains("Moe:Backend names the backend 'Nobody'", StringComparison.Ordinal));
    }
}
