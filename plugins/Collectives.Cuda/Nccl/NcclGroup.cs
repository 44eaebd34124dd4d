using System.Runtime.ExceptionServices;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Collectives;

/// <summary>
/// Ranks whose numbers NCCL carries: processes, on one machine or on several, or devices of this process. NCCL itself waits for ever, so that all that
/// is known of a rank that does not come is what it has called; a failure aborts the communicators, which lets their kernels go.
/// </summary>
internal sealed class NcclGroup : IMoeGroup
{
    private static readonly TimeSpan MostWaitAtEnd = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan WaitForWork = TimeSpan.FromSeconds(2);

    private readonly GroupLife _life;
    private readonly List<NcclMember> _members = [];
    private readonly ManualResetEventSlim _areReleased = new();
    private readonly bool _roundsAtSteps;
    private bool _isMade;
    private bool _leavesWell;

    private NcclGroup(MoeGroupRequest request, bool roundsAtSteps)
    {
        _roundsAtSteps = roundsAtSteps;
        _life = new GroupLife(request, Look, Release);
    }

    public IReadOnlyList<IMoeCommunicator> Members => _members;

    public MoeException? Failure => _life.Failure;

    /// <summary>Makes a group, and believes in it once numbers have come.</summary>
    /// <param name="request">The group.</param>
    /// <param name="libraries">The kernels of the devices of this process's ranks.</param>
    /// <param name="roundsAtSteps">Whether its sums are of the rows' own type, rounded at every step.</param>
    /// <exception cref="MoeException">NCCL refuses, ranks do not come, or there is no memory left.</exception>
    public static NcclGroup Create(MoeGroupRequest request, IReadOnlyList<KernelLibrary> libraries, bool roundsAtSteps)
    {
        var group = new NcclGroup(request, roundsAtSteps);
        try
        {
            group.Make(libraries);
            return group;
        }
        catch (Exception exception)
        {
            request.Rendezvous?.Abort(MoeReason.PeerFailed, $"Rank {request.Rendezvous.Rank} cannot make the group: {exception.Message}");
            group.Dispose();
            throw;
        }
    }

    public void Abort(string why)
    {
        ArgumentNullException.ThrowIfNull(why);
        _life.End(MoeReason.PeerFailed, why);
    }

    public void Dispose()
    {
        if (_isMade && _life.Failure is null && OnThreads(_members.Count, WaitForWork, i => _members[i].Context.Synchronize()) is not null)
        {
            // A kernel that NCCL lets go in the middle leaves garbage with the ranks that still come: they are to know before.
            string who = _members.Count == 1 ? $"Rank {_members[0].Rank}" : "The process of all ranks";
            _life.End(MoeReason.PeerFailed, $"{who} disposed the group, and what it had begun was not done.");
        }

        bool isWell = _isMade && _life.Failure is null;
        Volatile.Write(ref _leavesWell, isWell);
        if (!_life.Dispose())
        {
            return;
        }

        // A group that has done its work is taken apart by all ranks together. One that has failed was aborted.
        _areReleased.Wait(MostWaitAtEnd);
        if (isWell)
        {
            OnThreads(_members.Count, MostWaitAtEnd, i => _members[i].Communicator.Leave(_life.Request.Timeout));
        }
        else
        {
            OnThreads(_members.Count, MostWaitAtEnd, i => _members[i].Communicator.Abort());
        }

        bool isIdle = OnThreads(_members.Count, MostWaitAtEnd, i => _members[i].Context.Synchronize()) is null;
        _life.Request.Rendezvous?.Leave(_life.Request.Timeout);
        if (isIdle)
        {
            _members.ForEach(member => member.Free());
        }
    }

    private static Exception? OnThreads(int count, TimeSpan most, Action<int> work)
    {
        var errors = new Exception?[count];
        Thread[] threads = [.. errors.Select((_, i) => new Thread(() =>
        {
            try
            {
                work(i);
            }
            catch (Exception exception)
            {
                errors[i] = exception;
            }
        }) { IsBackground = true })];
        Array.ForEach(threads, thread => thread.Start());
        long start = Environment.TickCount64;
        bool areBack = Array.TrueForAll(threads, thread => thread.Join(Math.Max(0, (int)(most.TotalMilliseconds - (Environment.TickCount64 - start)))));
        return areBack ? errors.FirstOrDefault(error => error is not null) : new TimeoutException("NCCL does not return.");
    }

    private void Make(IReadOnlyList<KernelLibrary> libraries)
    {
        MoeGroupRequest request = _life.Request;
        IReadOnlyList<int> local = request.LocalRanks;
        var shape = RowShape.Of(request.Width, request.ElementType);
        ReductionKernels[] kernels = [.. libraries.Select(library => new ReductionKernels(library, shape, request.ElementType, request.Devices.Count, _roundsAtSteps))];
        NcclMemory[] memories = [.. libraries.Select(library => new NcclMemory(library.Context, request))];
        byte[] id;
        try
        {
            id = local.Contains(0) ? NcclCommunicator.CreateId() : [];
            id = request.Rendezvous?.Exchange("NCCL's group", id, request.Timeout)[0].ToArray() ?? id;
        }
        catch
        {
            Array.ForEach(memories, memory => memory.Dispose());
            throw;
        }

        var communicators = new NcclCommunicator[local.Count];
        Exception? error = OnThreads(
            local.Count,
            request.Timeout + MostWaitAtEnd,
            i => communicators[i] = NcclCommunicator.Join(libraries[i].Context, id, local[i], request, () => request.Rendezvous?.Failure is not null));
        for (int i = 0; i < local.Count; i++)
        {
            if (communicators[i] is { } communicator)
            {
                _members.Add(new NcclMember(_life, local[i], memories[i], kernels[i], new CudaMoeMemory(libraries[i]), communicator, _roundsAtSteps));
            }
            else
            {
                memories[i].Dispose();
            }
        }

        if (error is not null)
        {
            Array.ForEach(communicators, communicator => communicator?.Abort());
            ExceptionDispatchInfo.Throw(error);
        }

        GroupTrial.Run(_members, () => _life.Failure);
        request.Rendezvous?.Exchange("the end of NCCL's trial", default, request.Timeout);
        _isMade = true;
        _life.Begin();
    }

    private (MoeReason Reason, string Message)? Look()
    {
        foreach (NcclMember member in _isMade ? _members : [])
        {
            if (member.Communicator.FindError() is string error)
            {
                return (MoeReason.PeerFailed, $"Rank {member.Rank}: {error}");
            }
        }

        return null;
    }

    // On threads of their own: an abort may take long, and all must begin at once.
    private void Release()
    {
        NcclMember[] members = [.. _members];
        new Thread(() =>
        {
            if (!Volatile.Read(ref _leavesWell))
            {
                OnThreads(members.Length, MostWaitAtEnd, i => members[i].Communicator.Abort());
            }

            _areReleased.Set();
        })
        { IsBackground = true, Name = "Moe.Nccl aborts" }.Start();
    }
}
