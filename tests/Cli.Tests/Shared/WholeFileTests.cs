using System.Diagnostics;

namespace Moe.Plugins.Cli.Tests;

public sealed class WholeFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string File => _folder.File("x.json");

    [Fact]
    public void A_file_is_replaced_whole_and_keeps_its_permissions()
    {
        WholeFile.Write(File, "one");
        if (!OperatingSystem.IsWindows())
        {
            System.IO.File.SetUnixFileMode(File, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        WholeFile.Write(File, "two");

        Assert.Equal("two", System.IO.File.ReadAllText(File));
        Assert.Single(Directory.GetFileSystemEntries(_folder.Path));
        if (!OperatingSystem.IsWindows())
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, System.IO.File.GetUnixFileMode(File));
        }
    }

    [Fact]
    public void What_fails_half_way_leaves_the_old_file()
    {
        WholeFile.Write(File, "one");
        Assert.Throws<MoeException>(() => WholeFile.Write(File, stream =>
        {
            stream.Write("tw"u8);
            throw new IOException("No space left on device");
        }));
        Assert.Throws<InvalidOperationException>(() => WholeFile.Write(File, _ => throw new InvalidOperationException()));

        Assert.Equal("one", System.IO.File.ReadAllText(File));
        Assert.Single(Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void A_link_stays_a_link()
    {
        string target = _folder.File("target");
        foreach (bool isThere in (bool[])[false, true])
        {
            System.IO.File.CreateSymbolicLink(File, target);
            WholeFile.Write(File, isThere ? "2" : "one");
            Assert.Equal(target, new FileInfo(File).LinkTarget);
            Assert.Equal(isThere ? "2" : "one", System.IO.File.ReadAllText(target));
            System.IO.File.Delete(File);
        }
    }

    [Fact]
    public async Task A_pipe_is_written_to()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "mkfifo is a program of Linux.");
        await Process.Start("mkfifo", [File]).WaitForExitAsync(TestContext.Current.CancellationToken);
        var reading = Task.Run(() => System.IO.File.ReadAllText(File), TestContext.Current.CancellationToken);

        WholeFile.Write(File, "through");

        Assert.Equal("through", await reading);
        Assert.Equal(FileKind.Pipe, FileKinds.Of(File, followLinks: false));
    }

    [Fact]
    public void A_full_device_is_an_error()
    {
        Assert.SkipUnless(System.IO.File.Exists("/dev/full"), "There is no /dev/full here.");
        WholeFile.Write("/dev/null", "gone");
        MoeException exception = Assert.Throws<MoeException>(() => WholeFile.Write("/dev/full", "kept"));
        Assert.Contains("'/dev/full' cannot be written: No space left on device", exception.Message, StringComparison.Ordinal);
        Assert.Equal(FileKind.Device, FileKinds.Of("/dev/full", followLinks: false));
    }

    [Theory]
    [InlineData("", "the name of a file is expected")]
    [InlineData(" ", "the name of a file is expected")]
    [InlineData("/none/x", "its folder does not exist")]
    [InlineData("/", "it is a folder")]
    [InlineData("new/", "it is a folder")]
    public void What_cannot_be_written_says_why(string path, string why)
    {
        Assert.Contains(why, Assert.Throws<MoeException>(() => WholeFile.Check(path)).Message, StringComparison.Ordinal);
        Assert.Contains(why, Assert.Throws<MoeException>(() => WholeFile.Write(path, "x")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_may_be_as_long_as_the_file_system_has_it()
    {
        string longest = _folder.File(new string('n', 255));
        WholeFile.Check(longest);
        WholeFile.Write(longest, "x");
        Assert.Equal("x", System.IO.File.ReadAllText(longest));
        Assert.Contains("too long", Assert.Throws<MoeException>(() => WholeFile.Check(_folder.File(new string('n', 300)))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_read_only_file_is_left_alone()
    {
        WholeFile.Write(File, "one");
        new FileInfo(File).IsReadOnly = true;
        Assert.Contains("read-only", Assert.Throws<MoeException>(() => WholeFile.Write(File, "two")).Message, StringComparison.Ordinal);
        Assert.Equal("one", System.IO.File.ReadAllText(File));
        new FileInfo(File).IsReadOnly = false;
    }

    public void Dispose() => _folder.Dispose();
}
