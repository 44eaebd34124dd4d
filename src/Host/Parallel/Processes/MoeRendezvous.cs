using System.Globalization;
using System.Net.Sockets;

namespace Moe.Plugins;

/// <summary>Processes that meet at a socket of rank 0's: what a group of processes is made with.</summary>
/// <remarks>
/// All goes through rank 0's process, which is enough for what is exchanged once and for sums on processors. A process that is killed is
/// noticed at once, by its connection. Dispose after the group.
/// </remarks>
public sealed class MoeRendezvous : IMoeRendezvous
{
    /// <summary>Less than the longest that a timer can be set for.</summary>
    internal static readonly TimeSpan MostTimeout = TimeSpan.FromDays(30);

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(30);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(250);

    /// <summary>How long those who have heard of the end wait for those who have not.</summary>
    private static readonly TimeSpan MostWaitForOthers = TimeSpan.FromSeconds(2);

    /// <summary>The same where rank 0, who would tell, cannot be reached any more.</summary>
    private static readonly TimeSpan WaitWithoutHub = TimeSpan.FromMilliseconds(250);

    private readonly object _gate = new();
    private readonly MoeRendezvousOptions _options;
    private readonly FrameConnection _connection;
    private MoeException? _failure;
    private ReadOnlyMemory<byte>? _all;
    private bool _isWelcome;
    private bool _isTurnedAway;
    private bool _isExchanging;
    private bool _hasLeft;
    private bool _doAllKnow;
    private bool _areAllGone;
    private bool _isClosed;

    private MoeRendezvous(MoeRendezvousOptions options, FrameConnection connection)
    {
        _options = options;
        _connection = connection;
    }

    /// <inheritdoc/>
    public event Action<MoeException>? Ended;

    /// <inheritdoc/>
    public event Action<int, ReadOnlyMemory<byte>>? Received;

    /// <inheritdoc/>
    public int Rank => _options.Rank;

    /// <inheritdoc/>
    public int Count => _options.Count;

    /// <inheritdoc/>
    public MoeException? Failure => Volatile.Read(ref _failure);

    /// <summary>Goes to where the processes meet, and waits until all have come. Rank 0 listens there meanwhile.</summary>
    /// <exception cref="MoeException">
    /// An option is wrong, the place is taken, ranks do not come in time (<see cref="MoeReason.TimedOut"/>, which names them), or two processes
    /// contradict each other.
    /// </exception>
    public static MoeRendezvous Join(MoeRendezvousOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        RendezvousHub? hub = options.Rank == 0 ? new RendezvousHub(options) : null;
        try
        {
            long start = options.Clock.GetTimestamp();
            while (true)
            {
                if (TryJoin(options, start) is { } rendezvous)
                {
                    return rendezvous;
                }

                Thread.Sleep(Pause);
            }
        }
        catch
        {
            hub?.Close();
            throw;
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<ReadOnlyMemory<byte>> Exchange(string what, ReadOnlyMemory<byte> own, TimeSpan timeout)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(what);
        ArgumentOutOfRangeException.ThrowIfLessThan(timeout, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(timeout, MostTimeout);
        lock (_gate)
        {
            ThrowIfEnded();
            if (_isExchanging || _hasLeft)
            {
                throw new InvalidOperationException(_hasLeft
                    ? $"Rank {Rank} has left its group."
                    : $"Another thread is exchanging for rank {Rank}. A rank exchanges one thing at a time.");
            }

            _isExchanging = true;
        }

        try
        {
            long start = _options.Clock.GetTimestamp();
            _connection.Send(FrameKind.Part, FrameText.Join(FrameText.Of(timeout.Ticks), FrameText.Of(what), own));
            WaitFor(() => _all is not null, timeout, start, $"Rank 0, through which the ranks meet, does not answer at {what}.");
            return FrameText.Split(_all!.Value, Count);
        }
        finally
        {
            lock (_gate)
            {
                _all = null;
                _isExchanging = false;
            }
        }
    }

    /// <inheritdoc/>
    public void Send(ReadOnlyMemory<byte> message)
    {
        if (Failure is null)
        {
            _connection.Send(FrameKind.Message, message.ToArray());
        }
    }

    /// <inheritdoc/>
    public void Abort(MoeReason reason, string message)
    {
        ArgumentNullException.ThrowIfNull(message);
        Fail(new MoeException(reason, message), FrameText.OfEnd(reason, message));
    }

    /// <inheritdoc/>
    public bool Leave(TimeSpan timeout)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(timeout, TimeSpan.Zero);
        SayThatThisLeaves();
        long start = _options.Clock.GetTimestamp();
        lock (_gate)
        {
            while (!_areAllGone && !_isClosed && _options.Clock.GetElapsedTime(start) < timeout)
            {
                Monitor.Wait(_gate, Pause);
            }

            return _areAllGone;
        }
    }

    /// <summary>Leaves, and waits for nobody.</summary>
    public void Dispose()
    {
        SayThatThisLeaves();
        _connection.Finish();
    }

    // Null where whoever listened ended the connection without a word: it was rank 0 of a group that has ended before all had come, and another one will come.
    private static MoeRendezvous? TryJoin(MoeRendezvousOptions options, long start)
    {
        FrameConnection connection = Connect(options, start);
        connection.Trust();
        var rendezvous = new MoeRendezvous(options, connection);
        connection.Start(rendezvous.Receive, rendezvous.Lose);
        connection.Send(FrameKind.Hello, FrameText.Join(
            FrameText.Of(RendezvousHub.Magic), FrameText.Of(options.Job), FrameText.Of(options.Rank), FrameText.Of(options.Count)));
        try
        {
            rendezvous.WaitFor(
                () => rendezvous._isWelcome, options.Timeout, start, $"Rank 0 at {MeetingPlace.Describe(options)}, where the ranks meet, does not answer.");
            return rendezvous;
        }
        catch (MoeException) when (rendezvous._isTurnedAway && options.Rank != 0 && options.Clock.GetElapsedTime(start) < options.Timeout)
        {
            rendezvous.Dispose();
            return null;
        }
        catch
        {
            rendezvous.Dispose();
            throw;
        }
    }

    private static FrameConnection Connect(MoeRendezvousOptions options, long start)
    {
        while (true)
        {
            try
            {
                return new FrameConnection(MeetingPlace.Connect(options), mostBytes: 0);
            }
            catch (SocketException exception)
            {
                if (options.Clock.GetElapsedTime(start) > options.Timeout)
                {
                    string seconds = options.Timeout.TotalSeconds.ToString("0.###", CultureInfo.InvariantCulture);
                    string elsewhere = MeetingPlace.PathOf(options) is null
                        ? ""
                        : " A rank with another temporary folder, or in another container, does not see that path: with a Port they meet over TCP.";
                    throw new MoeException(
                        MoeReason.TimedOut,
                        $"Rank {options.Rank} did not reach rank 0 at {MeetingPlace.Describe(options)} within {seconds} s: {exception.Message}.{elsewhere}",
                        exception);
                }

                Thread.Sleep(Pause);
            }
        }
    }

    private void SayThatThisLeaves()
    {
        lock (_gate)
        {
            if (_hasLeft)
            {
                return;
            }

            _hasLeft = true;
        }

        _connection.Send(FrameKind.Leave);
    }

    // The hub's clock counts. Should its process stand still, this one's does, later.
    private void WaitFor(Func<bool> condition, TimeSpan timeout, long start, string otherwise)
    {
        lock (_gate)
        {
            while (!condition() && _failure is null)
            {
                Monitor.Wait(_gate, Look);
                if (_options.Clock.GetElapsedTime(start) > (2 * timeout) + TimeSpan.FromSeconds(1) && !condition())
                {
                    break;
                }
            }

            if (condition())
            {
                return;
            }
        }

        Abort(MoeReason.TimedOut, otherwise);
        ThrowIfEnded();
    }

    private void ThrowIfEnded()
    {
        if (Failure is { } failure)
        {
            throw new MoeException(failure.Reason, failure.Message, failure);
        }
    }

    private void Receive(Frame frame)
    {
        switch (frame.Kind)
        {
            case FrameKind.Welcome:
                Note(ref _isWelcome);
                break;
            case FrameKind.AllKnow:
                Note(ref _doAllKnow);
                break;
            case FrameKind.AllGone:
                Note(ref _areAllGone);
                break;
            case FrameKind.All:
                lock (_gate)
                {
                    _all = frame.Payload;
                    Monitor.PulseAll(_gate);
                }

                break;
            case FrameKind.Message:
                Hand(frame);
                break;
            case FrameKind.End:
                Fail(FrameText.ToEnd(frame.Payload));
                _connection.Send(FrameKind.Heard);
                break;
            default:
                throw new MoeException(MoeReason.ContractBroken, $"A frame of kind {frame.Kind} is for the hub.");
        }
    }

    // A plugin's fault, on a thread that nobody else is on: it ends the group, not the process.
    private void Hand(Frame message)
    {
        try
        {
            Received?.Invoke(message.Rank, message.Payload);
        }
        catch (Exception exception)
        {
            Abort(MoeReason.PeerFailed, $"Rank {Rank} failed at a message of rank {message.Rank}: {Fault.Read(exception).Sentence}");
        }
    }

    private void Note(ref bool what)
    {
        lock (_gate)
        {
            what = true;
            Monitor.PulseAll(_gate);
        }
    }

    private void Lose()
    {
        bool isEarly;
        lock (_gate)
        {
            _isClosed = true;
            _isTurnedAway = !_isWelcome && _failure is null;
            isEarly = !_hasLeft;
            Monitor.PulseAll(_gate);
        }

        if (isEarly)
        {
            Fail(new MoeException(MoeReason.PeerFailed, "The process of rank 0, through which the ranks meet, has ended or cannot be reached any more."));
        }
    }

    // The first failure counts.
    private void Fail(MoeException failure, byte[]? toldToAll = null)
    {
        lock (_gate)
        {
            if (_failure is not null)
            {
                return;
            }

            if (toldToAll is not null)
            {
                // Before another thread sees the failure, and leaves.
                _connection.Send(FrameKind.End, toldToAll);
            }

            Volatile.Write(ref _failure, failure);
            Monitor.PulseAll(_gate);
        }

        new Thread(() => RaiseEnded(failure)) { IsBackground = true, Name = "Moe.Rendezvous ends" }.Start();
    }

    private void RaiseEnded(MoeException failure)
    {
        lock (_gate)
        {
            long start = _options.Clock.GetTimestamp();
            while (!_doAllKnow && _options.Clock.GetElapsedTime(start) < (_isClosed ? WaitWithoutHub : MostWaitForOthers))
            {
                Monitor.Wait(_gate, Pause);
            }
        }

        // A plugin's fault, on a thread that nobody else is on.
        Fault.Ignore(() => Ended?.Invoke(failure));
    }
}
