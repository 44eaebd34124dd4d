using System.Diagnostics;
using System.Globalization;

namespace Moe.Plugins.Tests;

/// <summary>What another user owns or may write is not where trusted code is copied to or read from.</summary>
public sealed class OtherUserTests : IDisposable
{
    private const string Needs = "Giving files to another user needs root, on Linux.";
    private const string Nobody = "65534";

    private readonly PinnedFolder _pinned = new();

    private static bool IsRoot => OperatingSystem.IsLinux() && UnixFile.CurrentUser() == 0;

    [Theory]
    [InlineData("staging")]
    [InlineData("above")]
    [InlineData("staging/Good")]
    public void A_staging_folder_of_another_user_or_below_one_is_refused(string theirs)
    {
        Assert.SkipUnless(IsRoot, Needs);
        MoeOptions options = _pinned.Options;
        options.StagingFolder = Directory.CreateDirectory(Path.Combine(_pinned.Drop.Root, "above", "staging")).FullName;
        Directory.CreateDirectory(Path.Combine(options.StagingFolder, "Good"));
        string folder = theirs == "above" ? Path.GetDirectoryName(options.StagingFolder)! : Path.Combine(Path.GetDirectoryName(options.StagingFolder)!, theirs);
        Give(folder);

        MoePluginInfo plugin = _pinned.Load(options);

        Assert.Equal((MoeCandidateState.Rejected, MoeReason.Trust, MoePluginStepKind.Stage), (plugin.State, plugin.Reason, plugin.Steps[^1].Step));
        Assert.Contains($"{folder} belongs to user {Nobody}", plugin.Message, StringComparison.Ordinal);
        Assert.EndsWith("Set MoeOptions.StagingFolder to a folder that is.", plugin.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_link_of_another_user_on_the_way_is_refused()
    {
        Assert.SkipUnless(IsRoot, Needs);
        MoeOptions options = _pinned.Options;
        string link = Path.Combine(_pinned.Drop.Root, "link");
        Directory.CreateDirectory(Path.Combine(_pinned.Drop.Root, "real"));
        Directory.CreateSymbolicLink(link, Path.Combine(_pinned.Drop.Root, "real"));
        options.StagingFolder = Path.Combine(link, "staging");
        Assert.Equal(MoeCandidateState.Activated, _pinned.Load(options).State);

        Give(link);
        MoePluginInfo plugin = _pinned.Load(options);
        Assert.Equal(MoeReason.Trust, plugin.Reason);
        Assert.Contains($"{link} belongs to user {Nobody}", plugin.Message, StringComparison.Ordinal);
    }

    /// <summary>In a folder that others may add to, such as /tmp, one of them makes the lock's file first.</summary>
    [Theory]
    [InlineData("link", "is a link")]
    [InlineData("their link", "is a link")]
    [InlineData("dangling", "is a link")]
    [InlineData("name", "has 3 names")]
    [InlineData("pipe", "is a pipe")]
    [InlineData("folder", "is a folder")]
    [InlineData("theirs", "belongs to user 65534")]
    public void A_lock_that_somebody_else_laid_out_is_refused_and_writes_nowhere(string what, string sentence)
    {
        Assert.SkipUnless(IsRoot, Needs);
        string common = Directory.CreateDirectory(Path.Combine(_pinned.Drop.Root, "common")).FullName;
        Run("chmod", "1777", common);
        string precious = Path.Combine(_pinned.Drop.Root, "precious");
        File.WriteAllText(precious, "precious");
        MoeOptions options = _pinned.Options;
        options.StagingFolder = common;
        string lockFile = Path.Combine(common, "lock.json");
        foreach (string path in (string[])[Path.Combine(common, ".lock"), lockFile + ".writing"])
        {
            Run(what switch { "link" or "their link" or "dangling" or "name" => "ln", "pipe" => "mkfifo", "folder" => "mkdir", _ => "touch" }, what switch
            {
                "link" or "their link" => ["-s", precious, path],
                "dangling" => ["-s", precious + ".new", path],
                "name" => [precious, path],
                _ => [path],
            });
            if (what.StartsWith("their", StringComparison.Ordinal))
            {
                Give(path);
            }
        }

        MoePluginInfo plugin = _pinned.Load(options);
        Assert.Equal((MoeCandidateState.Rejected, MoeReason.Trust, MoePluginStepKind.Stage), (plugin.State, plugin.Reason, plugin.Steps[^1].Step));
        Assert.Contains($"{Path.Combine(common, ".lock")} {sentence}", plugin.Message, StringComparison.Ordinal);

        MoeException refused = Assert.Throws<MoeException>(() => MoePluginFolder.Read(_pinned.Folder).PinIn(lockFile));
        Assert.Contains($"{lockFile}.writing {sentence}", refused.Message, StringComparison.Ordinal);
        Assert.Equal("precious", File.ReadAllText(precious));
        Assert.False(File.Exists(precious + ".new"));
    }

    [Theory]
    [InlineData("moe.plugins.lock.json")]
    [InlineData("key.pem")]
    public void Links_of_another_user_to_lock_files_and_keys_are_refused(string file)
    {
        Assert.SkipUnless(IsRoot, Needs);
        MoeOptions options = _pinned.Options;
        options.Trust = MoeTrust.Signed;
        options.TrustKeys = [_pinned.Sign(System.Security.Cryptography.ECCurve.NamedCurves.nistP256)];
        string path = Path.Combine(_pinned.Drop.Root, file);
        File.Move(path, path + ".real");
        File.CreateSymbolicLink(path, path + ".real");
        Assert.Equal(MoeCandidateState.Activated, _pinned.Load(options).State);

        Give(path);
        Assert.Contains($"{path} belongs to user {Nobody}", _pinned.Load(options).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_parent_that_others_can_write_is_refused_where_a_lock_file_decides()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("Windows has no such mode.");
            return;
        }

        MoeOptions options = _pinned.Options;
        string above = Directory.CreateDirectory(Path.Combine(_pinned.Drop.Root, "above")).FullName;
        options.StagingFolder = Path.Combine(above, "staging");
        File.SetUnixFileMode(above, File.GetUnixFileMode(above) | UnixFileMode.OtherWrite);

        MoePluginInfo plugin = _pinned.Load(options);
        Assert.Equal(MoeReason.Trust, plugin.Reason);
        Assert.Contains($"{above} can be written by other users", plugin.Message, StringComparison.Ordinal);
        Assert.Contains("Set MoeOptions.StagingFolder", plugin.Message, StringComparison.Ordinal);

        options.Trust = MoeTrust.Any;
        Assert.Equal(MoeCandidateState.Activated, _pinned.Load(options).State);
    }

    [Fact]
    public void A_copy_in_which_another_user_can_write_is_made_anew_and_cannot_be_written()
    {
        if (OperatingSystem.IsWindows())
        {
            Assert.Skip("Windows has no such mode.");
            return;
        }

        Assert.Equal(MoeCandidateState.Activated, _pinned.Load().State);
        string copy = Directory.GetDirectories(Path.Combine(_pinned.Drop.Staging, "Good")).Single();
        string assembly = Path.Combine(copy, "Good.dll");
        Assert.Equal(UnixFileMode.UserRead, File.GetUnixFileMode(assembly));
        File.SetUnixFileMode(assembly, UnixFileMode.UserRead | UnixFileMode.OtherWrite);

        Assert.Equal(MoeCandidateState.Activated, _pinned.Load().State);
        Assert.Equal(UnixFileMode.UserRead, File.GetUnixFileMode(assembly));
    }

    public void Dispose() => _pinned.Dispose();

    private static void Give(string path) => Run("chown", "-h", string.Create(CultureInfo.InvariantCulture, $"{Nobody}:{Nobody}"), path);

    private static void Run(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }
}
