namespace Moe.Plugins.Tests;

/// <summary>The runtime keeps a library that was imported by a short name for the whole process: such an import is refused.</summary>
public sealed class NativeImportTests
{
    [Theory]
    [InlineData("NativeShort", MoeReason.MissingLibrary)]
    [InlineData("NativeFile", MoeReason.None)]
    public async Task A_library_of_its_own_is_imported_by_its_files_name(string plugin, MoeReason reason)
    {
        using var drop = new DropFolder().With(plugin).WithFile(plugin, "libmoefixture.so", [1]);
        await using MoeHost host = drop.Load();

        MoePluginInfo info = Assert.Single(host.Plugins);
        Assert.Equal(reason, info.Reason);
        Assert.Equal(reason != MoeReason.None, info.Message.Contains("imports 'moefixture' and means its own libmoefixture.so", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_short_name_of_the_systems_is_nobodys_own()
    {
        using var drop = new DropFolder().With("NativeShort");
        await using MoeHost host = drop.Load();
        Assert.Equal(MoeCandidateState.Activated, Assert.Single(host.Plugins).State);
    }
}
