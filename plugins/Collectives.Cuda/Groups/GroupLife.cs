namespace Moe.Plugins.Collectives;

/// <summary>
/// How a group lives and ends, whatever carries its numbers: who has called what, what has failed, and the watchdog that looks. A group of processes
/// hears of the others' failures, and tells them of its own.
/// </summary>
internal sealed class GroupLife
{
    private static readonly TimeSpan LongestWatch = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan MostWait = TimeSpan.FromSeconds(3);

    private readonly Func<(MoeReason Reason, string Message)?> _look;
    private readonly Action _release;
    private readonly CallLedger<MoeGroupCall>? _threads;
    private readonly ProcessLedger? _processes;
    private readonly ITimer _watchdog;
    private readonly TaskCompletionSource _areOthersTold = new();
    private MoeException? _failure;
    private int _isReleased;
    private int _isDisposed;
    private bool _isOnTrial = true;

    /// <param name="request">The group.</param>
    /// <param name="look">Looks whether something has failed on a device.</param>
    /// <param name="release">Lets go whatever waits on devices: the group has ended, and who is left knows it. Called once; it returns at once.</param>
    public GroupLife(MoeGroupRequest request, Func<(MoeReason Reason, string Message)?> look, Action release)
    {
        Request = request;
        _look = look;
        _release = release;
        if (request.Rendezvous is { } rendezvous)
        {
            _processes = new ProcessLedger(request, rendezvous, End);
            rendezvous.Ended += Hear;
        }
        else
        {
            _threads = new CallLedger<MoeGroupCall>(request, waits: true, End);
        }

        TimeSpan period = request.Timeout / 4 < LongestWatch ? request.Timeout / 4 : LongestWatch;
        _watchdog = request.Clock.CreateTimer(_ => Watch(), null, period, period);
    }

    public MoeGroupRequest Request { get; }

    public MoeException? Failure
    {
        get
        {
            Look();
            return Volatile.Read(ref _failure);
        }
    }

    public bool IsDisposed => Volatile.Read(ref _isDisposed) != 0;

    /// <summary>The group is made: from now on its failure is that of all its processes. Before, they tell each other how their trials went.</summary>
    public void Begin() => Volatile.Write(ref _isOnTrial, false);

    /// <summary>Begins a rank's call: throws where the group has ended, or ends with this call.</summary>
    public void Begin(int rank, in MoeGroupCall call)
    {
        ThrowIfEnded();
        _threads?.Note(rank, call);
        _processes?.Note(call);
        ThrowIfEnded();
    }

    /// <summary>A rank's call is enqueued: waits for the ranks that share its device.</summary>
    public void Launch(int rank) => _threads?.NoteLaunch(rank);

    public void ThrowIfEnded()
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        if (Failure is { } failure)
        {
            throw new MoeException(failure.Reason, $"The group has ended: {failure.Message}", failure);
        }
    }

    /// <summary>Ends the group; the first failure counts.</summary>
    public void End(MoeReason reason, string message)
    {
        if (!Note(new MoeException(reason, message)))
        {
            return;
        }

        if (Request.Rendezvous is { } rendezvous && !Volatile.Read(ref _isOnTrial))
        {
            // What waits is let go once the others know: Hear.
            rendezvous.Abort(reason, message);
        }
        else
        {
            Release();
        }
    }

    /// <summary>Ends the group without telling other processes: its own part in it is over.</summary>
    /// <returns>Whether it was not over yet.</returns>
    public bool Dispose()
    {
        bool hasFailed = Failure is not null && !Volatile.Read(ref _isOnTrial);
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
        {
            return false;
        }

        // One that looks now reads what is freed after this.
        _watchdog.DisposeAsync().AsTask().Wait(MostWait);
        if (Request.Rendezvous is { } rendezvous)
        {
            if (hasFailed)
            {
                _areOthersTold.Task.Wait(MostWait);
            }

            rendezvous.Ended -= Hear;
        }

        Note(new MoeException(MoeReason.PeerFailed, "It was disposed."));
        Release();
        return true;
    }

    private void Hear(MoeException failure)
    {
        Note(failure);
        Release();
        _areOthersTold.TrySetResult();
    }

    private void Watch()
    {
        Look();
        _threads?.Watch();
        _processes?.Watch();
    }

    private void Look()
    {
        if (IsDisposed || Volatile.Read(ref _failure) is not null)
        {
            return;
        }

        if (Request.Rendezvous?.Failure is { } heard)
        {
            Note(heard);
        }
        else if (_look() is (MoeReason reason, string message))
        {
            End(reason, message);
        }
    }

    private bool Note(MoeException failure)
    {
        if (Interlocked.CompareExchange(ref _failure, failure, null) is not null)
        {
            return false;
        }

        _threads?.Close();
        _processes?.Close();
        return true;
    }

    private void Release()
    {
        if (Interlocked.Exchange(ref _isReleased, 1) == 0)
        {
            _release();
        }
    }
}
