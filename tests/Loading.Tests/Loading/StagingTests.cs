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
        string source = Path.Combine(drop.Plugins, "Good");
        PluginContent content = PluginContent.Read(source);
        using StagedPlugin staged = new PluginStaging(drop.Options).Stage("Good", source, content);
        string copy = staged.Folder;

        Assert.Equal([1, 2, 3], File.ReadAllBytes(Path.Combine(copy, "runtimes/any/native/lib.so")));
        Assert.Equal(Path.Combine(drop.Staging, "Good", content.Hash), copy);
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
        var staging = new PluginStaging(drop.Options);
        string source = Path.Combine(drop.Plugins, "Good");
        PluginContent content = PluginContent.Read(source);
        using StagedPlugin first = staging.Stage("Good", source, content);
        File.AppendAllText(Path.Combine(first.Folder, "Good.dll"), "tampered");

        using StagedPlugin second = staging.Stage("Good", source, content);
        Assert.Equal(first.Folder, second.Folder);
        Assert.Equal(content.Hash, PluginContent.Read(second.Folder).Hash);
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
    public void Copies_that_nobody_uses_are_pruned_but_for_the_newest()
    {
        using var drop = new DropFolder().With("Good");
        var staging = new PluginStaging(drop.Options);
        var copies = new List<string>();
        string? used = null;
        StagedPlugin? inUse = null;
        for (int version = 0; version < 6; version++)
        {
            drop.WithFile("Good", "version.txt", [(byte)version]);
            string source = Path.Combine(drop.Plugins, "Good");
            StagedPlugin staged = staging.Stage("Good", source, PluginContent.Read(source));
            copies.Add(staged.Folder);
            if (version == 1)
            {
                (inUse, used) = (staged, staged.Folder);
            }
            else
            {
                staged.Dispose();
            }
        }

        // The last one was in use when the others were pruned.
        string[] left = [.. copies.Where(Directory.Exists)];
        Assert.Equal([used!, .. copies[3..]], left);
        inUse!.Dispose();
        Assert.Equal(left.Length, Directory.GetFiles(Path.Combine(drop.Staging, "Good"), "*.use").Length);
    }

    [Fact]
    public void Many_hosts_at_once_keep_what_they_use()
    {
        using var drop = new DropFolder();
        string[] sources = [.. Enumerable.Range(0, 6).Select(version =>
        {
            drop.WithFile($"Version{version}", "version.txt", [(byte)version]);
            return Path.Combine(drop.Plugins, $"Version{version}");
        })];

        // Each with a staging of its own, as processes have, on one folder: more versions in use than would be kept unused.
        Parallel.For(0, 60, new ParallelOptions { MaxDegreeOfParallelism = 6 }, round =>
        {
            string source = sources[round % sources.Length];
            PluginContent content = PluginContent.Read(source);
            using StagedPlugin staged = new PluginStaging(drop.Options).Stage("Good", source, content);
            Thread.Sleep(5);
            Assert.Equal(content.Hash, PluginContent.Read(staged.Folder).Hash);
        });
    }

    [Fact]
    public void What_was_left_half_copied_is_taken_away()
    {
        using var drop = new DropFolder().With("Good");
        string source = Path.Combine(drop.Plugins, "Good");
        string half = Directory.CreateDirectory(Path.Combine(drop.Staging, "Good", "copying-1")).FullName;
        new PluginStaging(drop.Options).Stage("Good", source, PluginContent.Read(source)).Dispose();
        Assert.False(Directory.Exists(half));
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

        return PluginContent.Read(Path.Combine(drop.Plugins, name)).Hash;
    }
}
