using System.Diagnostics;

namespace Moe.Plugins.Cli;

/// <summary>A layer as its ranks have it: whole on the only one, or a part on each of a group's.</summary>
internal sealed class RunLayers : IDisposable
{
    private readonly List<MoeLayer> _ranks = [];

    private RunLayers(IMoeGroup? group) => Group = group;

    public IReadOnlyList<MoeLayer> Ranks => _ranks;

    /// <summary>Null where there is one rank.</summary>
    public IMoeGroup? Group { get; }

    /// <summary>The first rank's of this process.</summary>
    public MoeLayer First => _ranks[0];

    /// <summary>The first rank of this process: 0 but where each rank is a process.</summary>
    public int FirstRank => Group?.Members[0].Rank ?? 0;

    /// <summary>How long it took to make the layers: to read, copy and repack their weights, and to compile kernels that no run before has.</summary>
    public TimeSpan LoadTime { get; private set; }

    /// <summary>How much of it had passed when the first expert was there: mostly the device's context and the backend's kernels, once a process.</summary>
    public TimeSpan StartTime { get; private set; }

    public long WeightByteCount => _ranks.Sum(layer => layer.WeightByteCount);

    /// <summary>The largest of the ranks': by how much the weights that the backend keeps differ from those that are stored; 0 where not at all.</summary>
    public double WeightRoundingError => _ranks.Max(layer => layer.WeightRoundingError);

    /// <summary>Makes the group that was asked for; null for one rank.</summary>
    /// <exception cref="MoeException">No plugin has such groups, or other processes do not come.</exception>
    public static IMoeGroup? CreateGroup(MoeHost host, MoeLayerRequest request, IReadOnlyList<MoeDevice> devices, RunSettings settings) =>
        settings.RankCount == 1 ? null
        : settings.IsConfigured ? host.CreateGroupFor(request)
        : host.CreateGroup(new MoeGroupRequest
        {
            Devices = devices,
            MaxTokens = request.Options.MaxTokens,
            Width = request.Shape.HiddenSize,
            ElementType = request.Options.OutputType,
            Timeout = host.Ranks.Timeout,
        });

    /// <summary>Makes a part for each of a group's ranks that are in this process, or the whole layer.</summary>
    /// <param name="host">Makes them.</param>
    /// <param name="request">The whole layer, on a backend that is named.</param>
    /// <param name="devices">A device for each rank.</param>
    /// <param name="parallel">How many ranks share each expert, and how many the experts.</param>
    /// <param name="group">Disposed with the layers; null for one rank.</param>
    /// <param name="source">The whole layer's tensors; each rank reads its own bytes.</param>
    /// <param name="progress">Told the share of the weights that is loaded, 0 to 1.</param>
    /// <param name="cancellationToken">Ends a long load early.</param>
    /// <exception cref="MoeException">The layer has no such parts, or a layer could not be made.</exception>
    public static RunLayers Create(
        MoeHost host,
        MoeLayerRequest request,
        IReadOnlyList<MoeDevice> devices,
        (int Tensor, int Expert) parallel,
        IMoeGroup? group,
        MoeWeightSource source,
        IProgress<double>? progress,
        CancellationToken cancellationToken)
    {
        var layers = new RunLayers(group);
        try
        {
            long start = Stopwatch.GetTimestamp();
            var first = new FirstReport(progress);
            int[] ranks = group is null ? [0] : [.. group.Members.Select(member => member.Rank)];
            foreach (int rank in ranks)
            {
                var part = MoePart.OfRank(rank, parallel.Tensor, parallel.Expert);
                layers._ranks.Add(host.CreateLayer(
                    request with { Device = devices[rank], Options = request.Options with { Part = part } }, source, first, cancellationToken));
            }

            layers.LoadTime = Stopwatch.GetElapsedTime(start);
            layers.StartTime = first.Time is long time ? Stopwatch.GetElapsedTime(start, time) : layers.LoadTime;
            return layers;
        }
        catch
        {
            layers.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _ranks.ForEach(layer => layer.Dispose());
        Group?.Dispose();
    }

    /// <summary>Notes when the first report comes, and hands all of them on.</summary>
    private sealed class FirstReport(IProgress<double>? next) : IProgress<double>
    {
        private long _time;

        /// <summary>As <see cref="Stopwatch.GetTimestamp"/>; null before.</summary>
        public long? Time => Volatile.Read(ref _time) is var time and not 0 ? time : null;

        public void Report(double value)
        {
            Interlocked.CompareExchange(ref _time, Stopwatch.GetTimestamp(), 0);
            next?.Report(value);
        }
    }
}
