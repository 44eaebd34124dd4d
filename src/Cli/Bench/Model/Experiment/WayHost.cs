using System.Collections.Concurrent;

namespace Moe.Plugins.Cli;

/// <summary>
/// A host around another one, whose layers run any of the ways up to the norm behind them. Layers are made once: those that are asked for again, because the way
/// is another one, have the weights of those before.
/// </summary>
internal sealed class WayHost(MoeHost inner) : IMoeHost, IDisposable
{
    private readonly ConcurrentDictionary<(string Name, int Rank), WayWeights> _layers = [];
    private MoeSelectionReport? _first;
    private LayerGroups? _groups;
    private LayerWays[] _ways = [];

    /// <summary>The way of layers that are made from now on; those that there are become outdated.</summary>
    public LayerWay Way { get; set; } = LayerWay.Fused;

    /// <summary>The ways that differ; none before there is a group.</summary>
    public IReadOnlyList<LayerWay> Ways => _groups?.Ways ?? [];

    /// <inheritdoc/>
    public IReadOnlyList<MoePluginInfo> Plugins => inner.Plugins;

    /// <inheritdoc/>
    public IReadOnlyList<MoeSelectionReport> Selections => inner.Selections;

    /// <inheritdoc/>
    public MoeRanks Ranks => inner.Ranks;

    /// <inheritdoc/>
    public IReadOnlyList<string> LostDevices => inner.LostDevices;

    /// <inheritdoc/>
    public MoeSelectionReport Explain(MoeLayerRequest request)
    {
        MoeSelectionReport report = inner.Explain(request);
        _first ??= report;
        return report;
    }

    /// <inheritdoc/>
    public IMoeLayer CreateLayer(
        MoeLayerRequest request, MoeWeightSource weights, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        if (_groups is null)
        {
            // One rank, which sums nothing up.
            return inner.CreateLayer(request, weights, progress, cancellationToken);
        }

        int rank = request.Options.Part.Rank;
        if (!_layers.TryGetValue((request.Name, rank), out WayWeights? made))
        {
            MoeLayer layer = inner.CreateLayer(request, weights, progress, cancellationToken);
            PaddedPart? padded = null;
            try
            {
                padded = _groups.IsPadded
                    ? new PaddedPart(inner.FindBackend(_first!.Selected!.Id)!, layer.Device, request.Shape, request.Options, weights, cancellationToken)
                    : null;
            }
            catch
            {
                layer.Dispose();
                throw;
            }

            made = new WayWeights(layer, padded);
            _layers[(request.Name, rank)] = made;
        }

        return new WayLayer(this, made, _ways[rank]);
    }

    /// <inheritdoc/>
    public Task<IMoeLayer> CreateLayerAsync(
        MoeLayerRequest request, MoeWeightSource weights, IProgress<double>? progress = null, CancellationToken cancellationToken = default) =>
        Task.Run(() => CreateLayer(request, weights, progress, cancellationToken), cancellationToken);

    /// <summary>Makes the group of the ranks, and the others that the ways take.</summary>
    public IMoeGroup CreateGroup(MoeGroupRequest request, string? backend = null)
    {
        MoeCandidate selected = (_first ?? throw new InvalidOperationException("No layer was asked about.")).Selected ?? throw HostFactory.Refused(_first);
        int padded = PaddedPart.WidthOf(inner.FindBackend(selected.Id)!, request.Devices[0], _first.Request.Shape);
        _groups = new LayerGroups(inner, backend, request, padded);
        _ways = [.. Enumerable.Range(0, request.Devices.Count).Select(rank => new LayerWays(_groups, rank))];
        return _groups.Ranks;
    }

    /// <inheritdoc/>
    public IMoeGroup CreateGroupFor(MoeLayerRequest layer, string? backend = null) => inner.CreateGroupFor(layer, backend);

    /// <inheritdoc/>
    public Task<MoeReloadReport> ReloadAsync(string id, CancellationToken cancellationToken = default) => inner.ReloadAsync(id, cancellationToken);

    /// <inheritdoc/>
    public Task<IReadOnlyList<MoeReloadReport>> ReloadChangedAsync(CancellationToken cancellationToken = default) =>
        inner.ReloadChangedAsync(cancellationToken);

    /// <summary>Frees weights and groups, behind the model's end; the inner host is the caller's.</summary>
    public void Dispose()
    {
        foreach (WayWeights weights in _layers.Values)
        {
            weights.Padded?.Dispose();
            weights.Layer.Dispose();
        }

        Array.ForEach(_ways, ways => ways.Dispose());
        _groups?.Dispose();
    }

    /// <summary>A rank's part of a layer, as it is and with padding around it.</summary>
    private sealed record WayWeights(MoeLayer Layer, PaddedPart? Padded);

    /// <summary>The part, run the way that was the host's when it was made.</summary>
    private sealed class WayLayer(WayHost host, WayWeights weights, LayerWays ways) : IMoeLayer
    {
        private readonly LayerWay _way = host.Way;
        private readonly List<IMoeForwardState> _states = [];

        public MoeLayerConfig Config => weights.Layer.Config;

        public MoeDevice Device => weights.Layer.Device;

        public IMoeMemory Memory => weights.Layer.Memory;

        public long WeightByteCount => weights.Layer.WeightByteCount;

        public double WeightRoundingError => weights.Layer.WeightRoundingError;

        public string? WeightRemark => weights.Layer.WeightRemark;

        public MoeException? Failure => weights.Layer.Failure;

        public bool IsOutdated => _way != host.Way;

        public bool MultipliesFp8(int tokens) => weights.Layer.MultipliesFp8(tokens);

        public IMoeForwardState CreateState() => Keep(weights.Layer.CreateState());

        public IMoeForwardState CreateState(IMoeCommunicator communicator) => Keep(weights.Layer.CreateState(communicator));

        public void Forward(IMoeForwardState state, MoeLayerCall layerCall) => ways.Enqueue(_way, weights.Layer, state, weights.Padded, layerCall);

        public void Synchronize(nint stream = 0) => weights.Layer.Synchronize(stream);

        public void Dispose() => _states.ForEach(state => state.Dispose());

        private IMoeForwardState Keep(IMoeForwardState state)
        {
            _states.Add(state);
            return state;
        }
    }
}
