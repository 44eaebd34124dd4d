using System.Diagnostics;
using System.Net.Sockets;

namespace Moe.Plugins.Cli.Tests;

/// <summary>Whatever stands where a command reads a file, it says in one line what that is: nothing is waited for, and nothing is read without end.</summary>
public sealed class PathKindTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    private readonly TemporaryFolder _folder = new();
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    public static TheoryData<string> Commands =>
    [
        "run --model PATH", "run --input PATH", "inspect PATH", "verify PATH", "plugins trust PATH --yes", "bench --backend Cpu --shape 4,64,64,2 --routing PATH",
        "bench compare PATH PATH", "bench plot PATH", "bench readme PATH", "generate --model PATH --prompt x", "bench model --model PATH", "quantize PATH --to mxfp4 --output OUT",
    ];

    [Theory]
    [MemberData(nameof(Commands))]
    public async Task What_is_no_file_is_named(string command)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Kinds of files are as they are on Linux.");
        Make();
        foreach (string kind in (string[])["pipe", "socket", "/dev/zero", "loop", "holes", "two\nlines"])
        {
            string[] arguments =
            [
                .. command.Split(' ').Select(word => word switch
                {
                    "PATH" => kind[0] == '/' ? kind : _folder.File(kind),
                    "OUT" => _folder.File("out"),
                    _ => word,
                }),
            ];
            Cli result = await Cli.Run(arguments).WaitAsync(Patience, TestContext.Current.CancellationToken);
            Assert.True(result.ExitCode is ExitCode.BadInput or ExitCode.NoBackend, $"{kind}: {result}");
            Assert.StartsWith("error: ", result.Error, StringComparison.Ordinal);
            Assert.Contains(kind.Replace("\n", @"\n", StringComparison.Ordinal), Assert.Single(result.Error.TrimEnd().Split('\n')), StringComparison.Ordinal);
        }
    }

    public void Dispose()
    {
        _socket.Dispose();
        _folder.Dispose();
    }

    private void Make()
    {
        using (Process pipe = Process.Start("mkfifo", _folder.File("pipe")))
        {
            pipe.WaitForExit();
        }

        _socket.Bind(new UnixDomainSocketEndPoint(_folder.File("socket")));
        File.CreateSymbolicLink(_folder.File("loop"), _folder.File("loop"));
        using FileStream holes = File.Create(_folder.File("holes"));
        holes.SetLength(1L << 40);
    }
}
