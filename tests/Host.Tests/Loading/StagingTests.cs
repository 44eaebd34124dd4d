namespace Moe.Plugins.Tests;

/// <summary>Plugins run from a private copy, named by its content.</summary>
public sealed class StagingTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Replacing_a_loaded_DLL_harms_nobody_and_the_next_host_sees_the_new_one(bool byRename)
    {
        using var drop = new DropFolder().With("Good");
        await using MoeHost old = drop.Load();
        string assembly = drop.MainAssemblyOf("Good");

        if (byRename)
        {
            File.WriteAllText(assembly + ".new", "garbage");
            File.Move(assembly + ".new", assembly, overwrite: true);
        }
        else
        {
            using FileStream stream = File.OpenWrite(assembly);
            stream.SetLength(100);
        }

        Assert.Equal("Good", old.Explain(TinyLayer.Request).Selected!.Id);
        await using MoeHost next = drop.Load();
        Assert.Equal(MoeReason.NotAPlugin, Assert.Single(next.Plugins).Reason);
        Assert.Equal("Good", old.Explain(TinyLayer.Request).Selected!.Id);
    }

    [Fact]
    public void Libraries_and_subfolders_travel_with_the_plugin()
    {
        using var drop = new DropFolder().With("Good").WithFile("Good", "runtimes/any/native/lib.so", [1, 2, 3]);
        string copy = new PluginStaging(drop.Staging).Stage("Good", Path.Combine(drop.Plugins, "Good"));

        Assert.Equal([1, 2, 3], File.ReadAllBytes(Path.Combine(copy, "runtimes/any/native/lib.so")));
        Assert.Equal(Path.Combine(drop.Staging, "Good", ContentHash.Of(Path.Combine(drop.Plugins, "Good"))), copy);
        if (!OperatingSystem.IsWindows())
        {
            Assert.Equal(
                UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute,
                File.GetUnixFileMode(drop.Staging));
        }
    }

    [Fact]
    public void A_copy_that_was_changed_is_made_anew()
    {
        using var drop = new DropFolder().With("Good");
        var staging = new PluginStaging(drop.Staging);
        string source = Path.Combine(drop.Plugins, "Good");
        string copy = staging.Stage("Good", source);
        File.AppendAllText(Path.Combine(copy, "Good.dll"), "tampered");

        Assert.Equal(copy, staging.Stage("Good", source));
        Assert.Equal(ContentHash.Of(source), ContentHash.Of(copy));
    }

    [Fact]
    public void Each_byte_name_and_border_of_a_file_counts_in_the_hash()
    {
        using var drop = new DropFolder();
        string[] hashes =
        [
            Hash(drop, "A", ("a", "xy"), ("b", "z")),
            Hash(drop, "B", ("a", "x"), ("b", "yz")),
            Hash(drop, "C", ("a", "xy"), ("c", "z")),
            Hash(drop, "D", ("a", "xy"), ("b", "Z")),
            Hash(drop, "E", ("a", "xy")),
        ];
        Assert.Equal(hashes.Length, hashes.Distinct().Count());
        Assert.Equal(hashes[0], Hash(drop, "F", ("b", "z"), ("a", "xy")));
    }

    [Fact]
    public async Task A_link_in_a_plugins_folder_is_refused()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("Making links needs a privilege on Windows.");
            return;
        }

        using var drop = new DropFolder().With("Good");
        File.CreateSymbolicLink(Path.Combine(drop.Plugins, "Good", "Extra.dll"), DropFolder.FixtureOf("Good") + "/Good.dll");
        await using MoeHost host = drop.Load();

        Assert.Equal(MoeReason.Trust, Assert.Single(host.Plugins).Reason);
    }

    [Fact]
    public async Task A_staging_folder_that_others_can_write_is_refused()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("Windows has no such mode.");
            return;
        }

        using var drop = new DropFolder().With("Good");
        Directory.CreateDirectory(Path.Combine(drop.Staging, "Good"));
        File.SetUnixFileMode(Path.Combine(drop.Staging, "Good"), (UnixFileMode)0b111_111_111);
        await using MoeHost host = drop.Load();

        Assert.Equal(MoeReason.Trust, Assert.Single(host.Plugins).Reason);
    }

    private static string Hash(DropFolder drop, string name, params (string File, string Text)[] files)
    {
        foreach ((string file, string text) in files)
        {
            drop.WithFile(name, file, System.Text.Encoding.UTF8.GetBytes(text));
        }

        return ContentHash.Of(Path.Combine(drop.Plugins, name));
    }
}
