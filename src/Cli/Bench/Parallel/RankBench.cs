namespace Moe.Plugins.Cli;

/// <summary>A group's ranks with tensors of their own and their devices' clocks, to time rounds of what they do together.</summary>
/// <typeparam name="TRank">A rank's tensors.</typeparam>
internal abstract class RankBench<TRank> : IDisposable
    where TRank : RankTensors
{
    /// <summary>Rounds of a replay: enough that the ranks' unequal starts weigh little.</summary>
    private static readonly (int MostTokens, int Rounds)[] RoundsByTokens = [(128, 200), (1024, 50), (int.MaxValue, 10)];

    private readonly BenchSettings _settings;
    private readonly IMoeInstruments[] _instruments;

    protected RankBench(IMoeGroup group, RankMeeting meeting, IMoeInstrumentedBackend instrumented, BenchSettings settings, Func<IMoeCommunicator, TRank> create)
    {
        Group = group;
        Meeting = meeting;
        _settings = settings;
        _instruments = [.. group.Members.Select(member => instrumented.CreateInstruments(member.Device))];
        Ranks = [.. group.Members.Select(create)];
    }

    protected IMoeGroup Group { get; }

    /// <summary>Disposed with this.</summary>
    protected RankMeeting Meeting { get; }

    /// <summary>Those of this process.</summary>
    protected TRank[] Ranks { get; }

    public virtual void Dispose()
    {
        Meeting.Dispose();
        Array.ForEach(Ranks, rank => rank.Dispose());
        Array.ForEach(_instruments, instruments => instruments.Dispose());
    }

    /// <summary>Rounds of a replay of some tokens.</summary>
    protected int Rounds(int tokens) =>
        Group.Members[0].Device.Kind == MoeDeviceKind.Cpu ? 1 : RoundsByTokens.First(entry => tokens <= entry.MostTokens).Rounds;

    /// <summary>Times replays of some ways in turns, each of so many rounds that a rank enqueues on a stream.</summary>
    protected IReadOnlyList<(BenchTimes Times, int Kernels)> Time(int rounds, CancellationToken cancellationToken, params Action<TRank, nint>[] ways) =>
        RankReplays.Measure(
            Group, Meeting, _instruments, [.. ways.Select(way => ((Action<int, nint>)((rank, stream) => way(Ranks[rank], stream)), rounds))], _settings, cancellationToken);
}
