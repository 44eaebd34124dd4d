using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Moe.Plugins;

/// <summary>
/// Where rank 0 listens and the others connect: a TCP port, or a socket in the file system, which the same user's processes of one machine reach and
/// nobody else's.
/// </summary>
internal static class MeetingPlace
{
    /// <summary>What the address of a socket in the file system begins with; its path follows.</summary>
    public const string UnixPrefix = "unix:";

    /// <summary>As Linux has it, with the zero behind it.</summary>
    private const int MostPathBytes = 108;

    /// <summary>The path of a socket in the file system; null where the ranks meet over TCP.</summary>
    public static string? PathOf(MoeRendezvousOptions options) =>
        options.Address.StartsWith(UnixPrefix, StringComparison.Ordinal) ? options.Address[UnixPrefix.Length..] : null;

    /// <summary>As a person reads it.</summary>
    public static string Describe(MoeRendezvousOptions options) => PathOf(options) ?? $"{options.Address}:{options.Port}";

    /// <summary>Why a path is none for a socket; null where it is.</summary>
    public static string? Refuse(string path) =>
        !Path.IsPathFullyQualified(path) ? $"'{path}' is no whole path"
        : Path.GetFileName(path).Length == 0 ? $"'{path}' is a folder, and a socket in it is expected"
        : Encoding.UTF8.GetByteCount(path) >= MostPathBytes ? $"'{path}' is longer than the {MostPathBytes - 1} bytes that the path of a socket may have"
        : null;

    /// <summary>Connects once.</summary>
    /// <exception cref="SocketException">Nobody listens there, or not yet.</exception>
    /// <exception cref="MoeException">Another user's process listens at the path.</exception>
    public static Socket Connect(MoeRendezvousOptions options)
    {
        if (PathOf(options) is { } path)
        {
            Socket local = NewLocal();
            return Prepared(local, () =>
            {
                local.Connect(new UnixDomainSocketEndPoint(path));
                CheckListener(local, path, UnixFile.CurrentUser());
            });
        }

        // The hub's own process need not know how others reach it.
        string address = options.Rank == 0 ? $"{LoopbackOf(options) ?? IPAddress.Loopback}" : options.Address;
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        return Prepared(socket, () => socket.Connect(address, options.Port));
    }

    /// <summary>Listens, for rank 0.</summary>
    /// <exception cref="MoeException">Somebody else listens there already, or others may write in the folder.</exception>
    public static Socket Listen(MoeRendezvousOptions options)
    {
        try
        {
            return PathOf(options) is { } path ? ListenAt(path, options.Count) : ListenOn(options);
        }
        catch (Exception exception) when (exception is SocketException or IOException or UnauthorizedAccessException)
        {
            throw new MoeException(
                MoeReason.Configuration, $"Rank 0 cannot listen at {Describe(options)}, where the ranks are to meet: {exception.Message.TrimEnd('.')}. Another place is expected.", exception);
        }
    }

    private static Socket NewLocal() => new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    /// <summary>A socket that connects or listens; none is left open where it cannot.</summary>
    private static Socket Prepared(Socket socket, Action prepare)
    {
        try
        {
            prepare();
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static Socket ListenOn(MoeRendezvousOptions options)
    {
        IPAddress address = LoopbackOf(options) ?? (Socket.OSSupportsIPv6 ? IPAddress.IPv6Any : IPAddress.Any);
        var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        return Prepared(socket, () =>
        {
            if (Equals(address, IPAddress.IPv6Any))
            {
                socket.DualMode = true;
            }

            socket.Bind(new IPEndPoint(address, options.Port));
            socket.Listen(options.Count);
        });
    }

    /// <summary>The address that only this machine reaches, if the ranks meet at one.</summary>
    private static IPAddress? LoopbackOf(MoeRendezvousOptions options) =>
        options.Address == "localhost" ? IPAddress.Loopback
        : IPAddress.TryParse(options.Address, out IPAddress? address) && IPAddress.IsLoopback(address) ? address
        : null;

    private static Socket ListenAt(string path, int count)
    {
        PrivateFolder.Create(Path.GetDirectoryName(path)!);
        if (FileKinds.Of(path, followLinks: false) == FileKind.Socket && IsAbandoned(path))
        {
            // Of a process that was killed.
            File.Delete(path);
        }

        Socket socket = NewLocal();
        return Prepared(socket, () =>
        {
            socket.Bind(new UnixDomainSocketEndPoint(path));
            if (!OperatingSystem.IsWindows())
            {
                File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            }

            socket.Listen(count);
        });
    }

    /// <summary>
    /// Refuses what another user's process listens at: in a folder such as /tmp anybody may make a socket, and only who listens is asked, for a path may
    /// lead elsewhere a moment later.
    /// </summary>
    /// <param name="socket">Connected.</param>
    /// <param name="path">Where.</param>
    /// <param name="user">Whose process is expected.</param>
    /// <exception cref="MoeException">It is another's.</exception>
    internal static void CheckListener(Socket socket, string path, uint user)
    {
        // SO_PEERCRED of SOL_SOCKET, unix(7): process, user and group of who listens.
        const int Level = 1, Option = 17;
        if (!OperatingSystem.IsLinux())
        {
            return;
        }

        Span<byte> credentials = stackalloc byte[12];
        socket.GetRawSocketOption(Level, Option, credentials);
        uint owner = BitConverter.ToUInt32(credentials[4..]);
        if (owner != user)
        {
            throw new MoeException(
                MoeReason.Trust, $"A process of user {owner} listens at '{PlainText.Of(path)}', where ranks are to meet; one of user {user}, whose rank this is, is expected.");
        }
    }

    private static bool IsAbandoned(string path)
    {
        using Socket socket = NewLocal();
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return false;
        }
        catch (SocketException exception)
        {
            return exception.SocketErrorCode == SocketError.ConnectionRefused;
        }
    }
}
