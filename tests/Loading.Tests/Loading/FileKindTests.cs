using System.Diagnostics;

namespace Moe.Plugins.Tests;

/// <summary>What is no regular file is refused by its kind, and never waited for, wherever a plugin or its trust is read from.</summary>
public sealed class FileKindTests : IDisposable
{
    private const string Needs = "Kinds of files are known on Linux.";

    private readonly PinnedFolder _pinned = new();

    [Theory]
    [InlineData("Good.dll")]
    [InlineData("Extra.dll")]
    [InlineData("Extra.deps.json")]
    [InlineData("Good.runtimeconfig.json")]
    [InlineData("pipe")]
    [InlineData("kernels/pipe.cu")]
    public void A_pipe_among_a_plugins_files(string file) => Meet(Path.Combine(_pinned.Folder, file), _pinned.Options);

    [Theory]
    [InlineData("moe.plugins.lock.json")]
    [InlineData("moe.plugins.lock.json.sig")]
    [InlineData("key.pem")]
    public void A_pipe_as_what_trust_is_read_from(string file)
    {
        MoeOptions options = _pinned.Options;
        options.Trust = MoeTrust.Signed;
        options.TrustKeys = [_pinned.Sign(System.Security.Cryptography.ECCurve.NamedCurves.nistP256)];
        Meet(Path.Combine(_pinned.Drop.Root, file), options);
    }

    [Fact]
    public void A_socket_and_a_device()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), Needs);
        MoeException refused = Assert.Throws<MoeException>(() => RegularFile.ReadAllBytes("/dev/zero", 1, MoeReason.Trust));
        Assert.Equal("/dev/zero is a device; a regular file is expected.", refused.Message);

        using var socket = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Unspecified);
        socket.Bind(new System.Net.Sockets.UnixDomainSocketEndPoint(Path.Combine(_pinned.Folder, "socket")));
        Assert.Contains("is a socket; a regular file is expected", _pinned.Load().Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pipe_as_a_verdict_is_none()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), Needs);
        Assert.Equal(MoeCandidateState.Activated, _pinned.Load().State);
        string hash = PluginContent.Read(_pinned.Folder).Hash;
        MakePipe(Path.Combine(_pinned.Drop.Staging, ".verdicts", hash + ".json"));
        Assert.Equal(MoeCandidateState.Activated, _pinned.Load().State);
    }

    /// <summary>What stands where a folder is to be made is named, with what to do about it.</summary>
    [Theory]
    [InlineData(".verdicts", "pipe", "is a pipe, and a folder is expected. Remove it, and the folder is made.")]
    [InlineData(".verdicts", "file", "is a file, and a folder is expected. Remove it, and the folder is made.")]
    [InlineData(".verdicts", "link", "is a link that leads nowhere, and a folder is expected. Remove it, and the folder is made.")]
    [InlineData("Good", "pipe", "is a pipe, and a folder is expected. Remove it, and the folder is made.")]
    public void Anything_where_a_folder_is_made(string name, string what, string expected)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), Needs);
        string path = Path.Combine(Directory.CreateDirectory(_pinned.Drop.Staging).FullName, name);
        switch (what)
        {
            case "pipe":
                MakePipe(path);
                break;
            case "file":
                File.WriteAllText(path, "");
                break;
            default:
                File.CreateSymbolicLink(path, path + ".nowhere");
                break;
        }

        MoeOptions options = _pinned.Options;
        options.Trial = MoeTrialMode.Child;
        MoePluginInfo plugin = _pinned.Load(options);
        Assert.Equal((MoeCandidateState.Rejected, MoeReason.NotFound), (plugin.State, plugin.Reason));
        Assert.Contains($"{path} {expected}", plugin.Message, StringComparison.Ordinal);
    }

    public void Dispose() => _pinned.Dispose();

    private void Meet(string file, MoeOptions options)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), Needs);
        File.Delete(file);
        MakePipe(file);
        MoePluginInfo plugin = _pinned.Load(options);
        Assert.Equal((MoeCandidateState.Rejected, MoeReason.Trust), (plugin.State, plugin.Reason));
        Assert.Contains($"{file} is a pipe; a regular file is expected", plugin.Message, StringComparison.Ordinal);
    }

    private static void MakePipe(string path)
    {
        using var process = Process.Start("mkfifo", path);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }
}
