using System.Globalization;

namespace Moe.Plugins.Cpu;

/// <summary>
/// Ranks that are threads of one process. They meet: nobody reads before all have come, and nobody goes on, to write anew what the others
/// read, before all have read.
/// </summary>
internal sealed class CpuGroup : IExchangingGroup
{
    private readonly object _gate = new();
    private readonly MoeGroupRequest _request;
    private readonly CpuCommunicator[] _members;
    private readonly Post[] _posts;
    private readonly bool[] _hasCome;
    private readonly ITimer _watchdog;
    private int _arrived;
    private int _reading;
    private int _firstRank;
    private long _firstCame;
    private long _exchange;
    private MoeException? _failure;
    private bool _isDisposed;

    public CpuGroup(MoeGroupRequest request)
    {
        _request = request;
        _posts = new Post[request.Devices.Count];
        _hasCome = new bool[request.Devices.Count];
        _members = new CpuCommunicator[request.Devices.Count];
        try
        {
            for (int rank = 0; rank < _members.Length; rank++)
            {
                _members[rank] = new CpuCommunicator(this, rank, request);
            }
        }
        catch
        {
            FreeMembers();
            throw;
        }

        _watchdog = request.Clock.CreateTimer(_ => Watch(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public IReadOnlyList<IMoeCommunicator> Members => _members;

    public MoeException? Failure => Volatile.Read(ref _failure);

    public bool LeavesOutRows => true;

    public void Abort(string why)
    {
        ArgumentNullException.ThrowIfNull(why);
        lock (_gate)
        {
            End(MoeReason.PeerFailed, why);
        }
    }

    public void Abort(int rank, string why)
    {
        ArgumentNullException.ThrowIfNull(why);
        Abort($"Rank {rank} failed: {why}");
    }

    /// <summary>Does a rank's share of an exchange: waits for the others, computes from what they brought, and waits until all have.</summary>
    public void Exchange(CpuCommunicator member, in Post post)
    {
        Arrive(member.Rank, post);
        Exception? fault = null;
        try
        {
            member.Compute(_posts);
        }
        catch (Exception exception)
        {
            fault = exception;
        }

        Depart(member.Rank, fault);
    }

    /// <summary>Throws where the group has ended.</summary>
    public void ThrowIfEnded()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (Failure is { } failure)
        {
            throw new MoeException(failure.Reason, $"The group has ended: {failure.Message}", failure);
        }
    }

    public void Dispose()
    {
        bool isIdle;
        lock (_gate)
        {
            if (_isDisposed)
            {
                return;
            }

            isIdle = !_members.Any(member => member.IsBusy || member.HasLent);
            End(MoeReason.PeerFailed, "It was disposed.");
            _isDisposed = true;
        }

        _watchdog.Dispose();
        if (isIdle)
        {
            FreeMembers();
        }

        // Else somebody still reads or writes their memory: it goes with the last who knows the group.
    }

    private void Arrive(int rank, in Post post)
    {
        lock (_gate)
        {
            ThrowIfEnded();
            if (_arrived == 0)
            {
                _firstRank = rank;
                _firstCame = _request.Clock.GetTimestamp();
                _watchdog.Change(_request.Timeout, Timeout.InfiniteTimeSpan);
            }
            else if (post.Call != _posts[_firstRank].Call)
            {
                End(MoeReason.ContractBroken, $"Rank {rank} brings {post.Call}, and rank {_firstRank} {_posts[_firstRank].Call}: all ranks make the same calls.");
                ThrowIfEnded();
            }

            _posts[rank] = post;
            _hasCome[rank] = true;
            if (++_arrived == _members.Length)
            {
                _watchdog.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
                _arrived = 0;
                Array.Clear(_hasCome);
                _reading = _members.Length;
                _exchange++;
                Monitor.PulseAll(_gate);
                return;
            }

            long exchange = _exchange;
            while (_exchange == exchange && _failure is null)
            {
                Monitor.Wait(_gate);
            }

            if (_exchange == exchange)
            {
                ThrowIfEnded();
            }
        }
    }

    private void Depart(int rank, Exception? fault)
    {
        lock (_gate)
        {
            if (fault is not null)
            {
                End(MoeReason.PeerFailed, $"Rank {rank} failed at {_posts[rank].Call}: {fault.Message}", fault);
            }

            // Also in a group that has ended: what a rank brought must stay until nobody reads it, and reading ends by itself.
            if (--_reading == 0)
            {
                Monitor.PulseAll(_gate);
            }

            while (_reading != 0)
            {
                Monitor.Wait(_gate);
            }

            ThrowIfEnded();
        }
    }

    /// <summary>Looks whether a rank is late.</summary>
    private void Watch()
    {
        lock (_gate)
        {
            if (_arrived == 0 || _failure is not null)
            {
                return;
            }

            TimeSpan left = _request.Timeout - _request.Clock.GetElapsedTime(_firstCame);
            if (left > TimeSpan.Zero)
            {
                // Another exchange than the one that the timer was set for.
                _watchdog.Change(left, Timeout.InfiniteTimeSpan);
                return;
            }

            int[] missing = [.. Enumerable.Range(0, _members.Length).Where(rank => !_hasCome[rank])];
            string seconds = _request.Timeout.TotalSeconds.ToString("0.###", CultureInfo.InvariantCulture);
            End(
                MoeReason.TimedOut,
                $"{(missing.Length == 1 ? "Rank" : "Ranks")} {string.Join(", ", missing)} did not come within {seconds} s "
                + $"({nameof(MoeGroupRequest)}.{nameof(MoeGroupRequest.Timeout)}) to {_posts[_firstRank].Call}, which rank {_firstRank} began.");
        }
    }

    // The first failure counts.
    private void End(MoeReason reason, string message, Exception? cause = null)
    {
        if (_failure is null)
        {
            Volatile.Write(ref _failure, new MoeException(reason, message, cause));
            Monitor.PulseAll(_gate);
        }
    }

    private void FreeMembers()
    {
        foreach (CpuCommunicator? member in _members)
        {
            member?.Free();
        }
    }
}
