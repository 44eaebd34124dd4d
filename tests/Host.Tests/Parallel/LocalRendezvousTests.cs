using System.Net.Sockets;
using System.Runtime.Versioning;

namespace Moe.Plugins.Tests;

/// <summary>Processes that meet at a path, here as threads of one: the same rendezvous, which no other user of the machine reaches.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class LocalRendezvousTests : IDisposable
{
    private const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private static readonly TimeSpan Long = TimeSpan.FromSeconds(30);

    private readonly string _folder = Directory.CreateTempSubdirectory("moe-meet").FullName;

    public LocalRendezvousTests() => Assert.SkipUnless(OperatingSystem.IsLinux(), "permissions of sockets are Linux's");

    [Fact]
    public void Ranks_meet_there_again_and_again_and_leave_nothing()
    {
        MoeRendezvousOptions options = Options("ranks", "meet");
        for (int round = 0; round < 3; round++)
        {
            Run(3, options, (rendezvous, rank) =>
            {
                Assert.Equal([0, 1, 2], rendezvous.Exchange("ranks", new[] { (byte)rank }, Long).Select(bytes => (int)bytes.Span[0]));

                // The place is free as soon as all are there.
                using MoeRendezvous second = MoeRendezvous.Join(options with { Rank = rank, Count = 3 });
                second.Exchange("start", default, Long);
                Assert.True(rendezvous.Leave(Long));
            });
        }

        Assert.Equal(Owner, File.GetUnixFileMode(Path.Combine(_folder, "ranks")));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(_folder, "ranks")));
    }

    /// <summary>Also where the folder is one that others may look into.</summary>
    [Fact]
    public void Nobody_but_the_user_may_connect()
    {
        File.SetUnixFileMode(_folder, Owner | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        MoeRendezvousOptions options = Options("meet");
        UnixFileMode? mode = null;
        Run(2, options, (rendezvous, _) => rendezvous.Exchange("start", default, Long), rank =>
        {
            if (rank == 1)
            {
                SpinWait.SpinUntil(() => File.Exists(PathOf(options)), Long);
                SpinWait.SpinUntil(() => CanConnect(PathOf(options)), Long);
                mode = File.GetUnixFileMode(PathOf(options));
            }
        });

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, mode);
    }

    [Fact]
    public void A_folder_that_others_write_in_is_refused()
    {
        File.SetUnixFileMode(_folder, Owner | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute);

        MoeException error = Assert.Throws<MoeException>(() => MoeRendezvous.Join(Options("meet") with { Rank = 0, Count = 2 }));

        Assert.Equal(MoeReason.Trust, error.Reason);
        Assert.False(File.Exists(Path.Combine(_folder, "meet")));
    }

    [Fact]
    public void What_a_killed_rank_0_left_is_replaced()
    {
        MoeRendezvousOptions options = Options("meet");
        using (var killed = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            // A socket that is closed takes its file along, as one whose process is killed does not.
            string elsewhere = Path.Combine(_folder, "elsewhere");
            killed.Bind(new UnixDomainSocketEndPoint(elsewhere));
            File.Move(elsewhere, PathOf(options));
        }

        Assert.True(File.Exists(PathOf(options)));
        Run(2, options, (rendezvous, _) => rendezvous.Exchange("start", default, Long));
    }

    [Fact]
    public void A_place_that_is_taken_is_named_and_left()
    {
        MoeRendezvousOptions options = Options("meet");
        using var other = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        other.Bind(new UnixDomainSocketEndPoint(PathOf(options)));
        other.Listen();

        MoeException error = Assert.Throws<MoeException>(() => MoeRendezvous.Join(options with { Rank = 0, Count = 2 }));

        Assert.Equal(MoeReason.Configuration, error.Reason);
        Assert.Contains($"cannot listen at {PathOf(options)}", error.Message, StringComparison.Ordinal);
        Assert.True(CanConnect(PathOf(options)));
    }

    [Fact]
    public void A_file_that_is_no_socket_is_left_as_it_is()
    {
        MoeRendezvousOptions options = Options("model.bin");
        File.WriteAllText(PathOf(options), "weights");

        MoeException error = Assert.Throws<MoeException>(() => MoeRendezvous.Join(options with { Rank = 0, Count = 2 }));

        Assert.Equal(MoeReason.Configuration, error.Reason);
        Assert.Equal("weights", File.ReadAllText(PathOf(options)));
    }

    /// <summary>Another rank would else hand its memory to whoever made the socket first.</summary>
    [Fact]
    public void A_process_of_another_user_is_not_joined()
    {
        string path = PathOf(Options("meet"));
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(path));
        uint user = UnixFile.CurrentUser();

        MeetingPlace.CheckListener(socket, path, user);
        MoeException error = Assert.Throws<MoeException>(() => MeetingPlace.CheckListener(socket, path, user + 1));

        Assert.Equal(MoeReason.Trust, error.Reason);
        Assert.Contains($"of user {user} listens at '{path}'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_path_without_a_file_is_refused()
    {
        var options = new MoeRendezvousOptions { Address = $"unix:{_folder}/", Rank = 0, Count = 1, Timeout = Long };

        Exception? error = Record.Exception(() => MoeRendezvous.Join(options));

        Assert.Contains("is a folder, and a socket in it is expected", Assert.IsType<MoeException>(error, exactMatch: false).Message, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static string PathOf(MoeRendezvousOptions options) => options.Address["unix:".Length..];

    private static bool CanConnect(string path)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        return Record.Exception(() => socket.Connect(new UnixDomainSocketEndPoint(path))) is null;
    }

    private static void Run(int count, MoeRendezvousOptions options, Action<MoeRendezvous, int> work, Action<int>? before = null)
    {
        var errors = new Exception?[count];
        Thread[] threads = [.. errors.Select((_, rank) => new Thread(() => errors[rank] = Record.Exception(() =>
        {
            before?.Invoke(rank);
            using MoeRendezvous rendezvous = MoeRendezvous.Join(options with { Rank = rank, Count = count });
            work(rendezvous, rank);
        })) { IsBackground = true })];
        Array.ForEach(threads, thread => thread.Start());
        Assert.All(threads, thread => Assert.True(thread.Join(TimeSpan.FromMinutes(1)), "a rank does not come back"));
        Assert.All(errors, Assert.Null);
    }

    private MoeRendezvousOptions Options(params string[] path) =>
        new() { Address = $"unix:{Path.Combine([_folder, .. path])}", Rank = 0, Count = 1, Timeout = Long };
}
