using System.Globalization;

namespace Moe.Plugins.Collectives;

/// <summary>
/// The calls that some ranks have made and others not yet. Ranks enqueue and go on; but whoever brings another call than the first, or does not come
/// in time, is found out here. Calls that a graph repeats are not seen: the kernels' own clocks watch over them.
/// </summary>
/// <remarks>
/// Threads whose ranks share a device meet twice in a call: nobody launches before all of them have come, or goes on before all have launched. Between
/// calls a driver may hold a thread until kernels of its device have ended, or keep the others out while it does, as for a copy of pageable memory
/// or an allocation. Kernels that wait for one that nobody can launch any more would never end.
/// </remarks>
/// <typeparam name="T">A call, as far as all ranks must make the same.</typeparam>
/// <param name="request">The group's.</param>
/// <param name="waits">
/// Whether ranks are threads that may be kept: those that share a device, and one that is far ahead until the slowest one has come. Else calls of a rank that
/// is far ahead are no longer compared.
/// </param>
/// <param name="end">Ends the group.</param>
internal sealed class CallLedger<T>(MoeGroupRequest request, bool waits, Action<MoeReason, string> end)
    where T : IEquatable<T>
{
    private const int Capacity = 4096;

    private readonly object _gate = new();
    private readonly Entry[] _entries = new Entry[Capacity];
    private readonly long[] _made = new long[request.Devices.Count];
    private readonly long[] _launched = new long[request.Devices.Count];
    private readonly long[] _launchedAt = new long[request.Devices.Count];
    private readonly int[][] _neighbours = waits ? FindNeighbours(request.Devices) : [];
    private bool _isClosed;

    /// <summary>Notes a rank's call. Where it is another one than the other ranks', the group ends.</summary>
    public void Note(int rank, in T call)
    {
        lock (_gate)
        {
            long number = _made[rank];

            // Far ahead of the slowest rank: a rank waits here, as it would for a full stream.
            while (waits && !_isClosed && number - _made.Min() >= Capacity)
            {
                Monitor.Wait(_gate);
            }

            if (_isClosed)
            {
                return;
            }

            _made[rank] = number + 1;
            ref Entry entry = ref _entries[number % Capacity];
            if (entry.Number < number + 1)
            {
                entry = new Entry(number + 1, call, rank, request.Clock.GetTimestamp());
            }
            else if (entry.Number == number + 1 && !entry.Call.Equals(call))
            {
                end(
                    MoeReason.ContractBroken,
                    $"Rank {rank} brings {call}, and rank {entry.FirstRank} {entry.Call}, as call {number}: all ranks make the same calls.");
                return;
            }

            Monitor.PulseAll(_gate);
            Meet(rank, _made);
        }
    }

    /// <summary>The call that a rank noted last is enqueued.</summary>
    public void NoteLaunch(int rank)
    {
        if (!HasNeighbours(rank))
        {
            return;
        }

        lock (_gate)
        {
            _launched[rank]++;
            _launchedAt[rank] = request.Clock.GetTimestamp();
            Monitor.PulseAll(_gate);
            Meet(rank, _launched);
        }
    }

    /// <summary>
    /// Ends the group where a rank has not come in time to what another one began, or has come and not launched it. Whoever waits for a launch has launched its
    /// own, but no kernel watches over it while streams are recorded.
    /// </summary>
    public void Watch()
    {
        lock (_gate)
        {
            long oldest = _made.Min();
            Entry entry = _entries[oldest % Capacity];
            if (!_isClosed && _made.Max() > oldest && entry.Number == oldest + 1 && IsLate(entry.Since))
            {
                int[] missing = [.. Enumerable.Range(0, _made.Length).Where(rank => _made[rank] == oldest)];
                End(missing, $"come within {Patience} to {entry.Call}, which rank {entry.FirstRank} began");
            }

            for (int rank = 0; rank < _launched.Length && !_isClosed; rank++)
            {
                if (HasNeighbours(rank) && IsAhead(rank, _launched) && IsLate(_launchedAt[rank]))
                {
                    int[] missing = [.. _neighbours[rank].Where(neighbour => _launched[neighbour] < _launched[rank])];
                    End(missing, $"launch {_entries[(_launched[rank] - 1) % Capacity].Call} within {Patience}, for which rank {rank} of the same device waits");
                }
            }
        }
    }

    /// <summary>Lets go whoever waits: the group has ended.</summary>
    public void Close()
    {
        lock (_gate)
        {
            _isClosed = true;
            Monitor.PulseAll(_gate);
        }
    }

    private static int[][] FindNeighbours(IReadOnlyList<MoeDevice> devices) =>
        [.. devices.Select(device => Enumerable.Range(0, devices.Count).Where(rank => devices[rank] == device).ToArray())];

    private string Patience => string.Create(
        CultureInfo.InvariantCulture, $"{request.Timeout.TotalSeconds:0.###} s ({nameof(MoeGroupRequest)}.{nameof(MoeGroupRequest.Timeout)})");

    private bool IsLate(long since) => request.Clock.GetElapsedTime(since) >= request.Timeout;

    private void End(int[] missing, string what) =>
        end(MoeReason.TimedOut, $"{(missing.Length == 1 ? "Rank" : "Ranks")} {string.Join(", ", missing)} did not {what}.");

    private bool HasNeighbours(int rank) => _neighbours.Length > 0 && _neighbours[rank].Length > 1;

    private void Meet(int rank, long[] counts)
    {
        while (!_isClosed && HasNeighbours(rank) && IsAhead(rank, counts))
        {
            Monitor.Wait(_gate);
        }
    }

    private bool IsAhead(int rank, long[] counts)
    {
        foreach (int neighbour in _neighbours[rank])
        {
            if (counts[neighbour] < counts[rank])
            {
                return true;
            }
        }

        return false;
    }

    /// <param name="Number">From 1.</param>
    /// <param name="Call">What the first rank brought.</param>
    /// <param name="FirstRank">Who came first.</param>
    /// <param name="Since">When.</param>
    private readonly record struct Entry(long Number, T Call, int FirstRank, long Since);
}
