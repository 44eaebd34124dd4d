using System.Security.Cryptography;
using System.Text;

namespace Moe.Plugins.Tests;

/// <summary>A host that trusts only what its lock file pins.</summary>
public sealed class PinnedTests : IDisposable
{
    private readonly PinnedFolder _pinned = new();

    [Fact]
    public void What_is_pinned_is_loaded()
    {
        MoePluginInfo plugin = _pinned.Load();
        Assert.Equal((MoeCandidateState.Activated, ""), (plugin.State, plugin.Message));
        Assert.Contains(plugin.Steps, s => s.Step == MoePluginStepKind.Verify && s.Sentence.Contains("All 5 files", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("Good.dll", "has SHA-256")]
    [InlineData("Good.deps.json", "has SHA-256")]
    [InlineData("kernels/route.cu", "has SHA-256")]
    [InlineData("libgood.so", "has SHA-256")]
    public void A_changed_byte_in_any_file_is_refused(string file, string sentence)
    {
        string path = Path.Combine(_pinned.Folder, file);
        byte[] bytes = File.ReadAllBytes(path);

        // A line's end in JSON: what is no JSON is refused before.
        int at = file.EndsWith(".json", StringComparison.Ordinal) ? Array.IndexOf(bytes, (byte)'\n') : bytes.Length - 1;
        bytes[at] = bytes[at] == '\n' ? (byte)' ' : (byte)(bytes[at] ^ 1);
        File.WriteAllBytes(path, bytes);
        Refused(_pinned.Load(), MoePluginStepKind.Verify, $"{file} {sentence}");
    }

    [Fact]
    public void A_file_more_is_refused()
    {
        _pinned.Drop.WithFile("Good", "extra.dll", [0]);
        Refused(_pinned.Load(), MoePluginStepKind.Verify, "extra.dll is not among the files that are pinned");
    }

    [Fact]
    public void A_file_less_is_refused()
    {
        File.Delete(Path.Combine(_pinned.Folder, "libgood.so"));
        Refused(_pinned.Load(), MoePluginStepKind.Verify, "libgood.so is pinned and is not there");
    }

    [Fact]
    public void A_plugin_that_is_not_pinned_is_refused()
    {
        _pinned.Drop.With("Working");
        using MoeHost host = MoeHost.Create(_pinned.Options);
        Assert.Equal(MoeCandidateState.Activated, host.Plugins.Single(p => p.Id == "Good").State);
        Refused(host.Plugins.Single(p => p.Id == "Working"), MoePluginStepKind.Verify, "does not pin a plugin Working");
    }

    [Fact]
    public void Without_a_lock_file_nothing_is_loaded_and_the_reason_says_what_makes_one()
    {
        File.Delete(_pinned.LockFile);
        Refused(_pinned.Load(), MoePluginStepKind.Verify, "'moe plugins trust FOLDER' makes one");
    }

    [Fact]
    public void A_lock_file_that_is_none_trusts_nothing()
    {
        File.WriteAllText(_pinned.LockFile, "{\"format\":1,\"plugins\":[],\"more\":0}");
        Refused(_pinned.Load(), MoePluginStepKind.Verify, "'more' is not expected there");
    }

    [Fact]
    public void None_of_a_refused_plugins_code_runs()
    {
        File.AppendAllText(Path.Combine(_pinned.Folder, "Good.dll"), " ");
        using var log = new ListLog();
        using MoeHost host = MoeHost.Create(_pinned.Options, log);
        Assert.DoesNotContain(log.Lines, line => line.Text.Contains("Good is being made", StringComparison.Ordinal));
        Assert.Empty(Contexts.LoadedFrom(_pinned.Drop.Staging));
        Assert.Equal([MoePluginStepKind.Trust, MoePluginStepKind.Inspect, MoePluginStepKind.Stage, MoePluginStepKind.Verify], host.Plugins[0].Steps.Select(s => s.Step));
    }

    [Fact]
    public void A_file_that_is_swapped_while_the_plugin_is_taken_is_refused()
    {
        var pipeline = new PluginPipeline(_pinned.Options, [_pinned.Drop.Plugins], new McMasterPluginLoader());
        PluginRecord record = pipeline.Prepare(
            new PluginFile(null!, "Good", _pinned.Folder),
            _ => File.AppendAllText(Path.Combine(_pinned.Folder, "Good.dll"), "swapped"));
        Assert.Equal(MoePluginStepKind.Verify, record.Describe().Steps[^1].Step);
        Assert.Contains("Good.dll has SHA-256", record.Message, StringComparison.Ordinal);
        record.Release();
    }

    [Fact]
    public void A_file_that_is_swapped_while_the_plugin_is_copied_is_refused()
    {
        PluginContent before = PluginContent.Read(_pinned.Folder);
        File.AppendAllText(Path.Combine(_pinned.Folder, "Good.dll"), "swapped");
        MoeException refused = Assert.Throws<MoeException>(() => new PluginStaging(_pinned.Options).Stage("Good", _pinned.Folder, before));
        Assert.Contains("changed while it was copied", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_that_is_a_link_out_of_the_root_is_refused()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Making links needs a privilege on Windows.");
        string elsewhere = Path.Combine(_pinned.Drop.Root, "elsewhere");
        Directory.Move(_pinned.Folder, elsewhere);
        Directory.CreateSymbolicLink(_pinned.Folder, "../elsewhere");
        Refused(_pinned.Load(), MoePluginStepKind.Trust, $"leads to {elsewhere}, outside of the plugin folders");
    }

    [Fact]
    public void A_root_that_is_a_link_is_resolved()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Making links needs a privilege on Windows.");
        string link = Path.Combine(_pinned.Drop.Root, "link");
        Directory.CreateSymbolicLink(link, _pinned.Drop.Plugins);
        MoeOptions options = _pinned.Options;
        options.PluginFolders = [link];
        Assert.Equal(MoeCandidateState.Activated, _pinned.Load(options).State);
    }

    [Fact]
    public void Links_in_a_circle_are_refused()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Making links needs a privilege on Windows.");
        string one = Path.Combine(_pinned.Drop.Root, "one");
        string two = Path.Combine(_pinned.Drop.Root, "two");
        Directory.CreateSymbolicLink(one, two);
        Directory.CreateSymbolicLink(two, one);
        Assert.Contains("circle", Assert.Throws<MoeException>(() => RealPath.Of(one)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("plugins")]
    [InlineData("plugins/Good")]
    [InlineData("plugins/Good/kernels")]
    [InlineData("plugins/Good/Good.dll")]
    [InlineData("moe.plugins.lock.json")]
    public void What_others_can_write_is_refused(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("Windows has no such mode.");
            return;
        }

        string full = Path.Combine(_pinned.Drop.Root, path);
        File.SetUnixFileMode(full, File.GetUnixFileMode(full) | UnixFileMode.GroupWrite);
        MoePluginStepKind step = path.EndsWith(".json", StringComparison.Ordinal) ? MoePluginStepKind.Verify : MoePluginStepKind.Trust;
        Refused(_pinned.Load(), step, $"{full} can be written by other users");
    }

    [Fact]
    public void A_pipe_in_the_folder_is_refused_and_not_waited_for()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Kinds of files are known on Linux.");
        using (var process = System.Diagnostics.Process.Start("mkfifo", Path.Combine(_pinned.Folder, "pipe")))
        {
            process.WaitForExit();
        }

        Refused(_pinned.Load(), MoePluginStepKind.Stage, "is a pipe; a regular file is expected");
    }

    [Fact]
    public void A_signed_lock_file_is_trusted_with_its_key()
    {
        MoeOptions options = _pinned.Options;
        options.Trust = MoeTrust.Signed;
        options.TrustKeys = [_pinned.Sign(ECCurve.NamedCurves.nistP256)];
        Assert.Equal(MoeCandidateState.Activated, _pinned.Load(options).State);
    }

    [Theory]
    [InlineData("unsigned", ".sig cannot be read")]
    [InlineData("other key", "is not a signature of")]
    [InlineData("changed after", "is not a signature of")]
    [InlineData("garbage", "is not a signature of")]
    [InlineData("other curve", "another curve")]
    [InlineData("no key", "is no ECDSA P-256 public key")]
    public void What_is_not_signed_rightly_is_refused(string how, string sentence)
    {
        MoeOptions options = _pinned.Options;
        options.Trust = MoeTrust.Signed;
        options.TrustKeys = [_pinned.Sign(how == "other curve" ? ECCurve.NamedCurves.nistP384 : ECCurve.NamedCurves.nistP256)];
        switch (how)
        {
            case "unsigned":
                File.Delete(_pinned.LockFile + ".sig");
                break;
            case "other key":
                _pinned.Sign(ECCurve.NamedCurves.nistP256, keepsOldKey: true);
                break;
            case "changed after":
                _pinned.Drop.WithFile("Good", "new.txt", Encoding.UTF8.GetBytes("new"));
                _pinned.Trust();
                break;
            case "garbage":
                File.WriteAllText(_pinned.LockFile + ".sig", "signed, honestly");
                break;
            case "no key":
                File.WriteAllText(options.TrustKeys[0], "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----");
                break;
        }

        Refused(_pinned.Load(options), MoePluginStepKind.Verify, sentence);
    }

    [Fact]
    public void Signed_without_a_key_is_a_wrong_option()
    {
        MoeOptions options = _pinned.Options;
        options.Trust = MoeTrust.Signed;
        Assert.Contains("MoeOptions.TrustKeys is empty", Assert.Throws<MoeOptionsException>(() => MoeHost.Create(options)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Any_warns_that_it_looks_at_no_lock_file()
    {
        using var log = new ListLog();
        MoeOptions options = _pinned.Options;
        options.Trust = MoeTrust.Any;
        using MoeHost host = MoeHost.Create(options, log);
        Assert.Contains(log.Lines, l => l.Id == 14 && l.Text.Contains("moe.plugins.lock.json is there and is not looked at", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_reload_asks_for_trust_again()
    {
        using var folder = new WorkingFolder();
        MoePluginFolder.Read(Path.Combine(folder.Drop.Plugins, "Working")).PinIn(_pinned.LockFile);
        MoeOptions options = folder.Drop.Options;
        options.Trust = MoeTrust.Pinned;
        options.LockFile = _pinned.LockFile;
        await using MoeHost host = MoeHost.Create(options);

        folder.RenameOver(WorkingFolder.Version(2));
        MoeReloadReport refused = await host.ReloadAsync("Working", TestContext.Current.CancellationToken);
        Assert.Equal((MoeReloadOutcome.Kept, MoeReason.Trust), (refused.Outcome, refused.Plugin.Reason));
        MoePluginFolder.Read(Path.Combine(folder.Drop.Plugins, "Working")).PinIn(_pinned.LockFile);
        Assert.Equal(MoeReloadOutcome.Replaced, (await host.ReloadAsync("Working", TestContext.Current.CancellationToken)).Outcome);
    }

    /// <summary>It would be one file more than it pins.</summary>
    [Fact]
    public void A_lock_file_in_the_plugins_own_folder_is_refused()
    {
        string inside = Path.Combine(_pinned.Folder, "moe.plugins.lock.json");
        MoeException refused = Assert.Throws<MoeException>(() => MoePluginFolder.Read(_pinned.Folder).PinIn(inside));
        Assert.Equal(MoeReason.Configuration, refused.Reason);
        Assert.Contains($"{inside} lies in the folder of the plugin", refused.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(inside));
    }

    [Fact]
    public void A_lock_file_reads_back_as_it_was_written()
    {
        byte[] bytes = File.ReadAllBytes(_pinned.LockFile);
        Assert.Equal(bytes, PluginLock.Parse("lock", bytes).ToJson());
        Assert.Equal(5, PluginLock.Parse("lock", bytes).Find("gOOD")!.Files.Count);
    }

    public void Dispose() => _pinned.Dispose();

    private static void Refused(MoePluginInfo plugin, MoePluginStepKind step, string sentence)
    {
        Assert.Equal((MoeCandidateState.Rejected, MoeReason.Trust), (plugin.State, plugin.Reason));
        Assert.Equal(step, plugin.Steps[^1].Step);
        Assert.Contains(sentence, plugin.Message, StringComparison.Ordinal);
    }
}
