using System.Text.Json;

namespace Moe.Plugins.Cli.Tests;

/// <summary>The program as a shell sees it.</summary>
public sealed class ProgramTests
{
    [Fact]
    public async Task The_default_run_prints_one_object_and_ends_with_0() =>
        Assert.Equal(JsonValueKind.Object, (await Cli.RunProgram("run", "--json")).Json().ValueKind);
}
