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
}
