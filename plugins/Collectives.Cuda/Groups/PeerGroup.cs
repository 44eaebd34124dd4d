using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Collectives;

/// <summary>
/// Ranks that are devices which reach each other's memory, of one process or of several on one machine, or that share one. Kernels wait for each other,
/// with a deadline of their device's clock; the host sees calls that do not fit or do not come, and ends what waits.
/// </summary>
internal sealed class PeerGroup : IMoeGroup
{
    private static readonly TimeSpan MostWaitAtEnd = TimeSpan.FromSeconds(30);

    private readonly GroupLife _life;
    private readonly List<PeerMember> _members = [];
    private readonly List<CudaPeerMemory> _opened = [];
    private readonly HostWords _words;

    private PeerGroup(MoeGroupRequest request, CudaContext first)
    {
        _words = new HostWords(first, request.Devices.Count);
        _life = new GroupLife(request, Look, () => _words.Abort());
    }

    public IReadOnlyList<IMoeCommunicator> Members => _members;

    public MoeException? Failure => _life.Failure;

    /// <summary>Makes a group, and believes in it once numbers have gone all ways.</summary>
    /// <param name="request">The group.</param>
    /// <param name="libraries">The kernels of the devices of this process's ranks.</param>
    /// <param name="devices">What tells each rank's device from others, by rank.</param>
    /// <param name="table">How to reduce.</param>
    /// <exception cref="MoeException">Numbers did not arrive, or there is no memory left.</exception>
    /// <exception cref="CudaException">The driver refuses.</exception>
    public static PeerGroup Create(MoeGroupRequest request, IReadOnlyList<KernelLibrary> libraries, IReadOnlyList<string> devices, ReductionTable table)
    {
        foreach (KernelLibrary from in libraries)
        {
            foreach (KernelLibrary to in libraries)
            {
                from.Context.EnablePeerAccess(to.Context);
            }
        }

        var group = new PeerGroup(request, libraries[0].Context);
        string refusal = "";
        MoeException? cause = null;
        try
        {
            group.Make(libraries, devices, table);
        }
        catch (Exception exception) when (request.Rendezvous is not null && exception is MoeException or CudaException)
        {
            // The other processes learn it where all say how it went.
            cause = exception as MoeException ?? new MoeException(MoeReason.NoPeerAccess, exception.Message, exception);
            refusal = cause.Message;
        }
        catch
        {
            group.Free();
            throw;
        }

        if (request.Rendezvous is { } rendezvous)
        {
            group.Agree(rendezvous, refusal, cause);
        }

        group._life.Begin();
        return group;
    }

    public void Abort(string why)
    {
        ArgumentNullException.ThrowIfNull(why);
        _life.End(MoeReason.PeerFailed, why);
    }

    public void Dispose()
    {
        if (!_life.Dispose())
        {
            return;
        }

        bool isIdle = Synchronize();
        if (isIdle)
        {
            Close();
        }

        // Whoever still reaches this process's memory keeps it: it is lost to the process then, which is better than what freeing it would do.
        bool areOthersIdle = _life.Request.Rendezvous?.Leave(_life.Request.Timeout) ?? true;
        if (isIdle && areOthersIdle)
        {
            FreeMemory();
        }
    }

    private void Make(IReadOnlyList<KernelLibrary> libraries, IReadOnlyList<string> devices, ReductionTable table)
    {
        MoeGroupRequest request = _life.Request;
        int ranks = request.Devices.Count;
        var shape = RowShape.Of(request.Width, request.ElementType);
        var layout = GroupLayout.Of(request, shape, table);
        IReadOnlyList<int> local = request.LocalRanks;
        string? failure = null;
        try
        {
            ReductionKernels[] kernels = [.. libraries.Select(library => new ReductionKernels(library, shape, request.ElementType, ranks))];
            for (int i = 0; i < local.Count; i++)
            {
                var memory = new RankMemory(libraries[i].Context, layout);
                nint partial = checked((nint)(memory.Shared + layout.PartialOffset));
                _members.Add(new PeerMember(_life, local[i], memory, kernels[i], new CudaMoeMemory(libraries[i]), partial));
            }
        }
        catch (Exception exception) when (request.Rendezvous is not null && exception is MoeException or CudaException)
        {
            failure = exception.Message;
        }

        Placement[] placements = Exchange(failure);

        // The same on all ranks, whatever device each has; half of what there is room for, so that another group's kernels always find theirs.
        int Most(int kind) => Enumerable.Range(0, ranks).Min(rank => Math.Max(1, placements[rank].MostBlocks[kind] / 2 / devices.Count(device => device == devices[rank])));
        Dictionary<ReductionWay, int> mostBlocks = Enum.GetValues<ReductionWay>().ToDictionary(way => way, way => Most((int)way));
        int mostGatherBlocks = Most(mostBlocks.Count);
        bool isShared = devices.Distinct().Count() < ranks;
        long[] addresses = [.. placements.Select(placement => placement.Address)];
        var planner = new ReductionPlanner(table, layout, request, shape.RowBytes, mostBlocks, mostGatherBlocks);
        foreach (PeerMember member in _members)
        {
            member.Connect(planner, addresses, layout, _words.Address(member.Rank), !isShared);
        }

        GroupTrial.Run(_members, () => _life.Failure);
    }

    /// <summary>Where each rank's memory is, as this process reaches it, and how many blocks its device runs.</summary>
    private Placement[] Exchange(string? failure)
    {
        MoeGroupRequest request = _life.Request;
        if (request.Rendezvous is not { } rendezvous)
        {
            return [.. _members.Select(member => new Placement(member.Shared, MostBlocks(member)))];
        }

        byte[] exported = [];
        if (failure is null)
        {
            try
            {
                using CudaContextScope scope = _members[0].Context.MakeCurrent();
                exported = CudaMemory.Export(_members[0].Shared);
            }
            catch (CudaException exception)
            {
                failure = exception.Message;
            }
        }

        string own = failure is null ? $"{Convert.ToHexString(exported)} {string.Join(' ', MostBlocks(_members[0]))}" : $"! {failure}";
        IReadOnlyList<ReadOnlyMemory<byte>> all = rendezvous.Exchange("the group's memory", Encoding.UTF8.GetBytes(own), request.Timeout);
        var placements = new Placement[all.Count];
        for (int rank = 0; rank < all.Count; rank++)
        {
            string[] parts = Encoding.UTF8.GetString(all[rank].Span).Split(' ', 2);
            if (parts[0] == "!")
            {
                throw new MoeException(MoeReason.NoPeerAccess, $"Rank {rank} has no memory for the group: {parts[1]}");
            }

            placements[rank] = new Placement(
                rank == rendezvous.Rank ? _members[0].Shared : Open(rank, parts[0]),
                [.. parts[1].Split(' ').Select(number => int.Parse(number, CultureInfo.InvariantCulture))]);
        }

        return placements;
    }

    // Of each way, and behind them of gatherings.
    private static int[] MostBlocks(PeerMember member) => [.. Enum.GetValues<ReductionWay>().Select(member.MostResidentBlocks), member.MostResidentGatherBlocks];

    private nint Open(int rank, string exported)
    {
        try
        {
            CudaPeerMemory memory = _members[0].Context.OpenPeerMemory(Convert.FromHexString(exported));
            _opened.Add(memory);
            return memory.Handle;
        }
        catch (CudaException exception)
        {
            throw new MoeException(MoeReason.NoPeerAccess, $"Rank {_members[0].Rank} cannot reach the memory of rank {rank}: {exception.Message}", exception);
        }
    }

    // All processes come to the same: a group, or none.
    private void Agree(IMoeRendezvous rendezvous, string refusal, MoeException? cause)
    {
        try
        {
            IReadOnlyList<ReadOnlyMemory<byte>> all = rendezvous.Exchange("how the group's trial went", Encoding.UTF8.GetBytes(refusal), _life.Request.Timeout * 2);
            if (all.FirstOrDefault(bytes => bytes.Length > 0) is { Length: > 0 } first)
            {
                _life.Dispose();
                Synchronize();
                Close();

                // Nobody frees what another one has opened.
                rendezvous.Exchange("the end of the group's trial", default, _life.Request.Timeout);
                FreeMemory();
                throw new MoeException(MoeReason.NoPeerAccess, Encoding.UTF8.GetString(first.Span), cause);
            }
        }
        catch
        {
            _life.Dispose();
            throw;
        }
    }

    private void Free()
    {
        _life.Dispose();
        if (Synchronize())
        {
            Close();
            FreeMemory();
        }
    }

    // Nobody knows what graphs are still running: all that is enqueued on the devices is waited for.
    private bool Synchronize()
    {
        Task[] ends = [.. _members.Select(member => Task.Run(member.Context.Synchronize))];
        try
        {
            return Task.WaitAll(ends, MostWaitAtEnd);
        }
        catch (AggregateException)
        {
            // A lost context, or a stream that is being recorded. What a kernel may still reach stays.
            return false;
        }
    }

    private void Close()
    {
        _opened.ForEach(memory => memory.Dispose());
        _opened.Clear();
    }

    private void FreeMemory()
    {
        _members.ForEach(member => member.Free());
        _words.Dispose();
    }

    private (MoeReason Reason, string Message)? Look()
    {
        if (_words.FindLate() is not (int rank, int peer))
        {
            return null;
        }

        string seconds = _life.Request.Timeout.TotalSeconds.ToString("0.###", CultureInfo.InvariantCulture);
        return (
            MoeReason.TimedOut,
            $"A kernel of rank {rank} has waited {seconds} s ({nameof(MoeGroupRequest)}.{nameof(MoeGroupRequest.Timeout)}) for rank {peer}, which did not come.");
    }

    [StructLayout(LayoutKind.Auto)]
    private readonly record struct Placement(long Address, int[] MostBlocks);
}
