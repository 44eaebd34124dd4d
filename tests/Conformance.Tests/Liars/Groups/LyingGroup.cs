namespace Moe.Plugins.Conformance.Tests.Liars;

/// <summary>Threads that meet, each of which reads what all brought.</summary>
internal sealed class LyingGroup : IMoeGroup
{
    private static readonly TimeSpan Forever = TimeSpan.FromSeconds(5);

    private readonly object _gate = new();
    private readonly GroupLie _lie;
    private readonly Action<int>? _meetingRank;
    private readonly MoeGroupRequest _request;
    private readonly LyingMember[] _members;
    private readonly (MoeGroupCall Call, MoeTensorView View)[] _brought;
    private int _arrived;
    private int _meeting;
    private MoeException? _failure;

    public LyingGroup(MoeGroupRequest request, GroupLie lie, Action<int>? meeting)
    {
        _meetingRank = meeting;
        _lie = lie;
        _request = request;
        _brought = new (MoeGroupCall, MoeTensorView)[request.Devices.Count];
        _members = [.. request.Devices.Select((_, rank) => new LyingMember(this, rank, request, lie))];
    }

    public IReadOnlyList<IMoeCommunicator> Members => _members;

    public MoeException? Failure => Volatile.Read(ref _failure);

    public void Abort(string why)
    {
        if (_lie != GroupLie.IgnoresAborts)
        {
            End(MoeReason.PeerFailed, why);
        }
    }

    /// <summary>Meets the others, computes, and meets them again.</summary>
    public void Exchange(int rank, MoeGroupCall call, MoeTensorView view, Action<MoeTensorView[]> compute)
    {
        ThrowIfEnded();
        _meetingRank?.Invoke(rank);
        _brought[rank] = (call, view);
        if (Meet() && (_lie == GroupLie.TakesAnyNumberOfRows || Array.TrueForAll(_brought, brought => brought.Call == call)))
        {
            compute([.. _brought.Select(brought => brought.View)]);
        }
        else
        {
            End(MoeReason.ContractBroken, "The calls differ.");
        }

        Meet();
        if (_lie != GroupLie.ReturnsAsIfNothingHadHappened)
        {
            ThrowIfEnded();
        }
    }

    public void ThrowIfEnded()
    {
        if (Failure is { } failure)
        {
            throw new MoeException(failure.Reason, failure.Message, failure);
        }
    }

    public void Dispose() => Array.ForEach(_members, member => member.Free());

    private bool Meet()
    {
        lock (_gate)
        {
            int meeting = _meeting;
            if (++_arrived == _members.Length)
            {
                _arrived = 0;
                _meeting++;
                Monitor.PulseAll(_gate);
                return _failure is null;
            }

            // "Forever" is long enough for a rule to see it, and short enough for a test.
            TimeSpan most = _lie is GroupLie.WaitsForever or GroupLie.IgnoresAborts ? Forever : _request.Timeout;
            while (_meeting == meeting && _failure is null)
            {
                if (!Monitor.Wait(_gate, most))
                {
                    MoeReason reason = _lie == GroupLie.WaitsForever ? MoeReason.DeviceFailed : MoeReason.TimedOut;
                    End(reason, "A rank did not come.");
                }
            }

            return _failure is null;
        }
    }

    private void End(MoeReason reason, string why)
    {
        lock (_gate)
        {
            _failure ??= new MoeException(reason, why);
            Monitor.PulseAll(_gate);
        }
    }
}
