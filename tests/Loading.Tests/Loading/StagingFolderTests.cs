using System.Diagnostics;

namespace Moe.Plugins.Tests;

/// <summary>Staging folders that cannot be written, and locks that others hold.</summary>
public sealed class StagingFolderTests : IDisposable
{
    private readonly DropFolder _drop = new DropFolder().With("Good");

    [Fact]
    public void Another_process_that_keeps_a_lock_is_named()
    {
        string path = Path.Combine(_drop.Root, "a.lock");
        using FileLock held = FileLock.Take(path, TimeSpan.FromSeconds(1));
        MoeException exception = Assert.Throws<MoeException>(() => FileLock.Take(path, TimeSpan.FromMilliseconds(50)));
        string holder = OperatingSystem.IsLinux() ? $"Process {Environment.ProcessId} ({Path.GetFileName(Environment.ProcessPath)})" : "Another process";
        Assert.StartsWith($"{holder} has kept {path} locked", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_lock_whose_file_was_taken_away_is_nobodys()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "An open file is deleted on Linux alone.");
        string path = Path.Combine(_drop.Root, "a.lock");
        int inside = 0;
        Parallel.For(0, 300, new ParallelOptions { MaxDegreeOfParallelism = 6 }, _ =>
        {
            FileLock held = FileLock.Take(path, TimeSpan.FromSeconds(30));
            Assert.Equal(1, Interlocked.Increment(ref inside));
            Interlocked.Decrement(ref inside);
            held.Remove();
        });
        Assert.False(File.Exists(path));
    }

    [Fact]
    public async Task A_staging_folder_that_cannot_be_made_is_an_error_with_its_cure()
    {
        MoeOptions options = _drop.Options;
        File.WriteAllText(Path.Combine(_drop.Root, "file"), "");
        options.StagingFolder = Path.Combine(_drop.Root, "file", "staging");
        await using MoeHost host = MoeHost.Create(options);
        MoePluginInfo plugin = Assert.Single(host.Plugins);
        Assert.Equal((MoeCandidateState.Rejected, MoeReason.NotFound), (plugin.State, plugin.Reason));
        Assert.EndsWith("Set MoeOptions.StagingFolder to a folder that this user can write, or that holds the copy already.", plugin.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_a_read_only_folder_holds_already_is_used()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Permissions are as they are on Linux.");
        await _drop.Load().DisposeAsync();
        SetModes(UnixFileMode.UserRead | UnixFileMode.UserExecute);
        try
        {
            // Root can write everywhere, so that another user tries it.
            var settings = new Dictionary<string, string> { ["Moe__Trial"] = "InProcess" };
            using Process process = UnixFile.CurrentUser() == 0 ? HostProgram.StartAsNobody(_drop, settings) : HostProgram.Start(_drop, settings, "start");
            string said = await HostProgram.ReadAsync(process, TestContext.Current.CancellationToken);
            Assert.Equal("Good Activated None", said.Trim());
        }
        finally
        {
            SetModes(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
    }

    [Fact]
    public void Two_that_pin_at_once_lose_nothing()
    {
        string lockFile = Path.Combine(_drop.Root, "lock.json");
        _drop.With("Working");
        MoePluginFolder good = MoePluginFolder.Read(Path.Combine(_drop.Plugins, "Good"));
        Parallel.For(0, 60, new ParallelOptions { MaxDegreeOfParallelism = 6 }, number => (good with { Id = $"Plugin{number}" }).PinIn(lockFile));
        PluginLock pins = PluginLock.Read(lockFile);
        Assert.All(Enumerable.Range(0, 60), number => Assert.NotNull(pins.Find($"Plugin{number}")));
        Assert.DoesNotContain(Directory.GetFiles(_drop.Root), file => file != lockFile && OperatingSystem.IsLinux());
    }

    [Fact]
    public async Task Names_that_no_lock_file_can_tell_apart_end_their_own_plugin_and_no_others()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "There, a backslash parts names.");
        using var folder = new WorkingFolder();
        await using MoeHost host = folder.Drop.Load();
        folder.Drop.With("Good").WithFile("Good", "a/b", [1]).WithFile("Good", "a\\b", [2]);
        folder.RenameOver(WorkingFolder.Version(2));

        IReadOnlyList<MoeReloadReport> reports = await host.ReloadChangedAsync(TestContext.Current.CancellationToken);
        Assert.Equal([("Good", MoeReloadOutcome.Kept), ("Working", MoeReloadOutcome.Replaced)], reports.Select(r => (r.Id, r.Outcome)));
        Assert.Contains("a file whose name has a backslash", reports[0].Sentence, StringComparison.Ordinal);
        Assert.Empty(await host.ReloadChangedAsync(TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_folder_of_data_beside_plugins_is_not_read()
    {
        string data = Directory.CreateDirectory(Path.Combine(_drop.Plugins, "Data")).FullName;
        using (FileStream sparse = File.Create(Path.Combine(data, "weights.bin")))
        {
            // Longer than a plugin may be: whoever reads it says so.
            sparse.SetLength(PluginContent.MaxByteCount + 1);
        }

        await using MoeHost host = _drop.Load();
        Assert.Equal(MoeReason.NotFound, host.Plugins.Single(p => p.Id == "Data").Reason);
        Assert.Equal(MoeCandidateState.Activated, host.Plugins.Single(p => p.Id == "Good").State);
        Assert.Empty(await host.ReloadChangedAsync(TestContext.Current.CancellationToken));
    }

    public void Dispose() => _drop.Dispose();

    private void SetModes(UnixFileMode mode)
    {
        if (!OperatingSystem.IsWindows())
        {
            foreach (string folder in (string[])[_drop.Staging, .. Directory.GetDirectories(_drop.Staging)])
            {
                File.SetUnixFileMode(folder, mode);
            }
        }
    }
}
