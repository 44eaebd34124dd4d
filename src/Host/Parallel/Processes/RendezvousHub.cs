using System.Globalization;
using System.Net.Sockets;

namespace Moe.Plugins;

/// <summary>
/// What rank 0's process does for all: it takes the processes in, hands on what they exchange and send, and sees who has gone. It goes on by
/// itself, on threads of its own, until all have.
/// </summary>
internal sealed class RendezvousHub
{
    /// <summary>Of a greeting.</summary>
    private const int MostHelloBytes = 4096;

    /// <summary>What a greeting begins with; another protocol has another number.</summary>
    public const string Magic = Protocol + "2";

    private const string Protocol = "moe-rendezvous-";

    private readonly Lock _gate = new();
    private readonly MoeRendezvousOptions _options;
    private readonly Socket _listener;
    private readonly Guest?[] _guests;
    private readonly List<Guest> _strangers = [];
    private readonly ReadOnlyMemory<byte>?[] _parts;
    private readonly ITimer _timer;
    private bool _isOpen;
    private byte[]? _end;
    private string _what = "";
    private int _first;
    private long _since;
    private TimeSpan _limit;

    /// <exception cref="MoeException">The place is taken.</exception>
    public RendezvousHub(MoeRendezvousOptions options)
    {
        _options = options;
        _guests = new Guest?[options.Count];
        _parts = new ReadOnlyMemory<byte>?[options.Count];
        _listener = MeetingPlace.Listen(options);
        _since = options.Clock.GetTimestamp();
        _limit = options.Timeout;
        _timer = options.Clock.CreateTimer(_ => Watch(), null, options.Timeout, Timeout.InfiniteTimeSpan);
        new Thread(Accept) { IsBackground = true, Name = "Moe.Rendezvous accepts" }.Start();
    }

    /// <summary>Takes nobody in any more: the process whose hub it is could not come itself.</summary>
    public void Close()
    {
        lock (_gate)
        {
            End(MoeReason.PeerFailed, "Rank 0 gave up.");
            StopListening();
        }
    }

    private void Accept()
    {
        try
        {
            while (true)
            {
                var guest = new Guest(new FrameConnection(_listener.Accept(), MostHelloBytes));
                lock (_gate)
                {
                    guest.IsLate = _end is not null;
                    _strangers.Add(guest);
                }

                guest.Connection.Start(frame => Receive(guest, frame), () => Lose(guest));
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // Closed: all are there.
        }
    }

    private void Receive(Guest guest, Frame frame)
    {
        lock (_gate)
        {
            if (guest.Rank < 0)
            {
                Welcome(guest, frame);
                return;
            }

            switch (frame.Kind)
            {
                case FrameKind.Part:
                    Take(guest, frame.Payload);
                    break;
                case FrameKind.Message:
                    Tell(FrameKind.Message, frame.Payload, guest.Rank, but: guest);
                    break;
                case FrameKind.End:
                    MoeException end = FrameText.ToEnd(frame.Payload);
                    End(end.Reason, end.Message);
                    break;
                case FrameKind.Heard:
                    guest.HasHeard = true;
                    SayWhetherAllKnow();
                    break;
                case FrameKind.Leave:
                    guest.HasLeft = true;
                    RequireAll();
                    SayWhetherAllAreGone();
                    break;
                default:
                    throw new MoeException(MoeReason.ContractBroken, $"A frame of kind {frame.Kind} is not for the hub.");
            }
        }
    }

    private void Welcome(Guest guest, Frame frame)
    {
        string magic = FrameText.ToText(FrameText.Split(frame.Payload, 1)[0]);
        if (frame.Kind != FrameKind.Hello || !magic.StartsWith(Protocol, StringComparison.Ordinal))
        {
            throw new MoeException(MoeReason.ContractBroken, "A stranger.");
        }

        if (magic != Magic)
        {
            Refuse(guest, FrameText.OfEnd(
                MoeReason.Configuration,
                $"Rank 0 at {MeetingPlace.Describe(_options)} speaks {Magic}, and this rank {PlainText.Of(magic)}; the same version of Moe.Plugins is expected on all ranks."));
            return;
        }

        ReadOnlyMemory<byte>[] parts = FrameText.Split(frame.Payload, 4);
        string job = FrameText.ToText(parts[1]);
        long rank = FrameText.ToNumber(parts[2]);
        long count = FrameText.ToNumber(parts[3]);
        if (guest.IsLate && rank != 0 && FrameText.ToEnd(_end).Reason != MoeReason.Configuration)
        {
            // It has come for the next group, whose rank 0 will listen here. What is wrong in this one is wrong there too.
            guest.Connection.Dispose();
        }
        else if (job != _options.Job || _end is not null)
        {
            Refuse(guest, _end ?? FrameText.OfEnd(
                MoeReason.Configuration,
                $"Rank 0 at {MeetingPlace.Describe(_options)} belongs to job '{_options.Job}', and rank {rank} to '{job}'; another place is expected for another job."));
        }
        else if (count != _options.Count || rank < 0 || rank >= count)
        {
            End(MoeReason.Configuration, $"Rank {rank} says that there are {count} ranks, and rank 0 {_options.Count}; the same number is expected on all.");
        }
        else if (_guests[rank] is not null)
        {
            End(MoeReason.Configuration, $"Two processes say that they are rank {rank}; each rank once is expected.");
        }
        else
        {
            guest.Rank = (int)rank;
            _guests[rank] = guest;
            _strangers.Remove(guest);
            guest.Connection.Trust();
            if (Array.TrueForAll(_guests, known => known is not null))
            {
                _isOpen = true;
                _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);

                // Before anybody knows that it is complete, so that the port is free for who meets there next.
                StopListening();
                Tell(FrameKind.Welcome, default);
            }
        }
    }

    private static void Refuse(Guest guest, byte[] end)
    {
        guest.Connection.Send(FrameKind.End, end);
        guest.Connection.Finish();
    }

    private void Take(Guest guest, ReadOnlyMemory<byte> payload)
    {
        ReadOnlyMemory<byte>[] parts = FrameText.Split(payload, 3);
        string what = FrameText.ToText(parts[1]);
        if (Array.TrueForAll(_parts, part => part is null))
        {
            _what = what;
            _first = guest.Rank;
            _since = _options.Clock.GetTimestamp();
            _limit = TimeSpan.FromTicks(Math.Clamp(FrameText.ToNumber(parts[0]), 0, MoeRendezvous.MostTimeout.Ticks));
            _timer.Change(_limit, Timeout.InfiniteTimeSpan);
        }
        else if (what != _what)
        {
            End(MoeReason.ContractBroken, $"Rank {guest.Rank} is at {what}, and rank {_first} at {_what}: all ranks do the same in the same order.");
            return;
        }

        _parts[guest.Rank] = parts[2];
        RequireAll();
        if (_end is null && Array.TrueForAll(_parts, part => part is not null))
        {
            byte[] all = FrameText.Join([.. _parts.Select(part => part!.Value)]);
            Array.Clear(_parts);
            _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            Tell(FrameKind.All, all);
        }
    }

    // Whoever has left brings nothing any more to what the others have begun.
    private void RequireAll()
    {
        if (Array.Exists(_parts, part => part is not null) && Array.Find(_guests, guest => guest!.HasLeft && _parts[guest.Rank] is null) is { } gone)
        {
            End(MoeReason.PeerFailed, $"Rank {gone.Rank} has left the group, and rank {_first} is at {_what}.");
        }
    }

    private void Lose(Guest guest)
    {
        lock (_gate)
        {
            guest.IsGone = true;
            _strangers.Remove(guest);
            if (guest.Rank < 0)
            {
                return;
            }

            if (!_isOpen && _end is null)
            {
                // It may come again.
                _guests[guest.Rank] = null;
                return;
            }

            if (!guest.HasLeft)
            {
                End(MoeReason.PeerFailed, $"The process of rank {guest.Rank} has ended, or cannot be reached any more.");
            }

            SayWhetherAllKnow();
            SayWhetherAllAreGone();
        }
    }

    private void Watch()
    {
        lock (_gate)
        {
            bool isExchange = Array.Exists(_parts, part => part is not null);
            if (_end is not null || (_isOpen && !isExchange))
            {
                return;
            }

            TimeSpan left = _limit - _options.Clock.GetElapsedTime(_since);
            if (left > TimeSpan.Zero)
            {
                // Another wait than the one that the timer was set for.
                _timer.Change(left, Timeout.InfiniteTimeSpan);
                return;
            }

            int[] missing = [.. Enumerable.Range(0, _guests.Length).Where(rank => _isOpen ? _parts[rank] is null : _guests[rank] is null)];
            string seconds = _limit.TotalSeconds.ToString("0.###", CultureInfo.InvariantCulture);
            string where = _isOpen ? $"{_what}, which rank {_first} began" : $"the rendezvous at {MeetingPlace.Describe(_options)}";
            End(MoeReason.TimedOut, $"{(missing.Length == 1 ? "Rank" : "Ranks")} {string.Join(", ", missing)} did not come within {seconds} s to {where}.");
        }
    }

    // The first failure counts. Who has connected and was not taken in yet, such as rank 0 itself, still hears of it: Close ends the listening.
    private void End(MoeReason reason, string message)
    {
        if (_end is null)
        {
            _end = FrameText.OfEnd(reason, message);
            Array.Clear(_parts);
            Tell(FrameKind.End, _end);
        }
    }

    private void SayWhetherAllKnow()
    {
        if (_end is not null && Array.TrueForAll(_guests, guest => guest is null or { HasHeard: true } or { IsGone: true }))
        {
            Tell(FrameKind.AllKnow, default);
        }
    }

    private void SayWhetherAllAreGone()
    {
        if (Array.TrueForAll(_guests, guest => guest is null or { HasLeft: true } or { IsGone: true }))
        {
            Tell(FrameKind.AllGone, default);
            _timer.Dispose();
        }
    }

    private void Tell(FrameKind kind, ReadOnlyMemory<byte> payload, int from = 0, Guest? but = null)
    {
        foreach (Guest? guest in _guests)
        {
            if (guest is { IsGone: false } && guest != but)
            {
                guest.Connection.Send(kind, payload, from);
            }
        }
    }

    private void StopListening()
    {
        // Of a path it takes the socket's file away too.
        _listener.Dispose();
        foreach (Guest stranger in _strangers)
        {
            if (_end is not null && !stranger.IsLate)
            {
                stranger.Connection.Send(FrameKind.End, _end);
            }

            stranger.Connection.Finish();
        }

        _strangers.Clear();
    }

    /// <summary>A process that has come.</summary>
    private sealed class Guest(FrameConnection connection)
    {
        public FrameConnection Connection => connection;

        /// <summary>−1 before it has said so.</summary>
        public int Rank { get; set; } = -1;

        /// <summary>Whether it came after the end.</summary>
        public bool IsLate { get; set; }

        public bool HasHeard { get; set; }

        public bool HasLeft { get; set; }

        public bool IsGone { get; set; }
    }
}
