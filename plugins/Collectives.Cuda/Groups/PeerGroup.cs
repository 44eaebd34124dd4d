using System.Globalization;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Collectives;

/// <summary>
/// Ranks that are devices of one process, or share one. Kernels wait for each other, with a deadline of their device's clock; the host sees
/// calls that do not fit or do not come, and ends what waits.
/// </summary>
internal sealed class PeerGroup : IMoeGroup
{
    private static readonly TimeSpan LongestWatch = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan MostWaitAtEnd = TimeSpan.FromSeconds(30);

    private readonly MoeGroupRequest _request;
    private readonly Lock _gate = new();
    private readonly CallLedger _ledger;
    private readonly List<PeerMember> _members = [];
    private readonly HostWords _words;
    private readonly ITimer _watchdog;
    private MoeException? _failure;
    private bool _isDisposed;

    private PeerGroup(MoeGroupRequest request, CudaContext first)
    {
        _request = request;
        _words = new HostWords(first, request.Devices.Count);
        _ledger = new CallLedger(request, End);
        TimeSpan period = request.Timeout / 4 < LongestWatch ? request.Timeout / 4 : LongestWatch;
        _watchdog = request.Clock.CreateTimer(_ => Watch(), null, period, period);
    }

    public IReadOnlyList<IMoeCommunicator> Members => _members;

    public MoeException? Failure
    {
        get
        {
            ReadWords();
            return Volatile.Read(ref _failure);
        }
    }

    /// <summary>Makes a group, and believes in it once numbers have gone all ways.</summary>
    /// <param name="request">The group.</param>
    /// <param name="libraries">Each rank's device's kernels.</param>
    /// <param name="table">How to reduce.</param>
    /// <exception cref="MoeException">Numbers did not arrive, or there is no memory left.</exception>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public static PeerGroup Create(MoeGroupRequest request, IReadOnlyList<KernelLibrary> libraries, ReductionTable table)
    {
        var shape = RowShape.Of(request.Width, request.ElementType);
        var layout = new GroupLayout(request, shape, table.MostSlottedRows(libraries.Count));
        foreach (KernelLibrary from in libraries)
        {
            foreach (KernelLibrary to in libraries)
            {
                from.Context.EnablePeerAccess(to.Context);
            }
        }

        var group = new PeerGroup(request, libraries[0].Context);
        try
        {
            ReductionKernels[] kernels = [.. libraries.Select(library => new ReductionKernels(library, shape, request.ElementType, libraries.Count))];
            RankMemory[] memories = new RankMemory[libraries.Count];
            for (int rank = 0; rank < memories.Length; rank++)
            {
                memories[rank] = new RankMemory(libraries[rank].Context, layout);
                nint partial = checked((nint)(memories[rank].Shared + layout.PartialOffset));
                group._members.Add(new PeerMember(group, rank, memories[rank], kernels[rank], new CudaMoeMemory(libraries[rank]), partial));
            }

            // The same on all ranks, whatever device each has; half of what there is room for, so that another group's kernels always find theirs.
            Dictionary<ReductionWay, int> mostBlocks = Enum.GetValues<ReductionWay>().ToDictionary(
                way => way,
                way => Enumerable.Range(0, memories.Length).Min(
                    rank => Math.Max(1, kernels[rank].MostResidentBlocks(way) / 2 / request.Devices.Count(device => device == request.Devices[rank]))));
            bool isShared = request.Devices.Distinct().Count() < memories.Length;
            long[] addresses = [.. memories.Select(memory => (long)memory.Shared)];
            foreach (PeerMember member in group._members)
            {
                member.Connect(new ReductionPlanner(table, layout, addresses.Length, mostBlocks), addresses, layout, shape, !isShared);
            }

            GroupTrial.Run(group._members, () => group.Failure);
            return group;
        }
        catch
        {
            group.Dispose();
            throw;
        }
    }

    public void Abort(string why)
    {
        ArgumentNullException.ThrowIfNull(why);
        End(MoeReason.PeerFailed, why);
    }

    public void Abort(int rank, string why)
    {
        ArgumentNullException.ThrowIfNull(why);
        Abort($"Rank {rank} failed: {why}");
    }

    /// <summary>The words of a rank, for its kernels.</summary>
    public nint WordsOf(int rank) => _words.Address(rank);

    public MoeGroupRequest Request => _request;

    /// <summary>Begins a rank's call: throws where the group has ended, or ends with this call.</summary>
    public void Begin(int rank, in MoeGroupCall call)
    {
        ThrowIfEnded();
        _ledger.Note(rank, call);
        ThrowIfEnded();
    }

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
        lock (_gate)
        {
            if (_isDisposed)
            {
                return;
            }

            _isDisposed = true;
        }

        _watchdog.Dispose();
        End(MoeReason.PeerFailed, "It was disposed.");

        // Nobody knows what graphs are still running: all that is enqueued on the devices is waited for.
        Task[] ends = [.. _members.Select(member => Task.Run(member.Context.Synchronize))];
        try
        {
            if (!Task.WaitAll(ends, MostWaitAtEnd))
            {
                return;
            }
        }
        catch (AggregateException)
        {
            // A lost context, or a stream that is being recorded. What a kernel may still reach stays: it is lost to this process, which is better
            // than what freeing it would do.
            return;
        }

        _members.ForEach(member => member.Free());
        _words.Dispose();
    }

    private void Watch()
    {
        ReadWords();
        _ledger.Watch();
    }

    private void ReadWords()
    {
        if (_isDisposed || Volatile.Read(ref _failure) is not null || _words.FindLate() is not (int rank, int peer))
        {
            return;
        }

        string seconds = _request.Timeout.TotalSeconds.ToString("0.###", CultureInfo.InvariantCulture);
        End(
            MoeReason.TimedOut,
            $"A kernel of rank {rank} has waited {seconds} s ({nameof(MoeGroupRequest)}.{nameof(MoeGroupRequest.Timeout)}) for rank {peer}, which did not come.");
    }

    // The first failure counts.
    private void End(MoeReason reason, string message)
    {
        if (Interlocked.CompareExchange(ref _failure, new MoeException(reason, message), null) is null)
        {
            _words.Abort();
            _ledger.Close();
        }
    }
}
