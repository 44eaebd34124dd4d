using System.Runtime.InteropServices;

namespace Moe.Plugins;

/// <summary>
/// Which backend runs a layer on each rank that is a thread of this process. Where a backend fails on one device, the next one is taken, but only on that device.
/// No rank waits for the others, since one thread may make the states of all. Ranks that are processes tell each other (<see cref="Agreement"/>).
/// </summary>
/// <param name="ranks">Of the group.</param>
/// <param name="end">Ends the group, for the others may be waiting already.</param>
internal sealed class LayerLedger(int ranks, Action<string> end)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Line> _lines = [];

    /// <summary>Notes a state of a layer's, and compares its backend with that of the ranks before: a rank's n-th state with their n-th of the same layer.</summary>
    /// <param name="rank">Whose it is.</param>
    /// <param name="layer">The layer, by its name and all that its ranks have in common.</param>
    /// <param name="backend">What runs it there, with its version.</param>
    /// <exception cref="MoeException">Another one does elsewhere; the group has ended.</exception>
    public void Require(int rank, string layer, string backend)
    {
        string? message = null;
        lock (_gate)
        {
            ref Line? line = ref CollectionsMarshal.GetValueRefOrAddDefault(_lines, layer, out _);
            line ??= new Line(ranks);
            if (line.Note(rank, backend) is var (first, other) && other != backend)
            {
                message = $"Rank {rank} differs from rank {first} in the layer's backend: {backend} against {other}. The same is expected on all ranks.";
            }
        }

        if (message is not null)
        {
            end(message);
            throw new MoeException(MoeReason.Configuration, message);
        }
    }

    /// <summary>The states of one layer.</summary>
    private sealed class Line(int ranks)
    {
        private readonly Dictionary<int, int> _counts = [];
        private readonly Queue<(int Rank, string Backend)> _firsts = new();
        private int _past;

        /// <summary>Who was the first with a state of this number, and what it runs on.</summary>
        public (int Rank, string Backend) Note(int rank, string backend)
        {
            int place = _counts.GetValueOrDefault(rank) - _past;
            _counts[rank] = _past + place + 1;
            if (place == _firsts.Count)
            {
                _firsts.Enqueue((rank, backend));
            }

            (int, string) first = _firsts.ElementAt(place);
            while (_counts.Count == ranks && _counts.Values.Min() > _past)
            {
                // All ranks have it.
                _firsts.Dequeue();
                _past++;
            }

            return first;
        }
    }
}
