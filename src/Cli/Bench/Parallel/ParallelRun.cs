namespace Moe.Plugins.Cli;

/// <summary>Measures a group's reductions, plan by plan, and layers over its ranks.</summary>
internal sealed class ParallelRun
{
    private static readonly bool[] Splits = [false, true];

    private readonly Func<string?, MoeHost> _createHost;
    private readonly ParallelSettings _settings;
    private readonly CancellationToken _cancellationToken;

    /// <param name="createHost">Makes a host whose groups follow a plan.</param>
    /// <param name="settings">What to measure.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    public ParallelRun(Func<string?, MoeHost> createHost, ParallelSettings settings, CancellationToken cancellationToken)
    {
        _createHost = createHost;
        _settings = settings;
        _cancellationToken = cancellationToken;
    }

    /// <summary>What was measured so far; null before anything was.</summary>
    public ParallelResult? Result { get; private set; }

    /// <summary>Runs the benchmark.</summary>
    /// <exception cref="CommandException">No plugin has such groups, or it cannot measure.</exception>
    /// <exception cref="MoeException">A group failed.</exception>
    public ParallelResult Execute(ProgressLine progress)
    {
        bool hasReductions = _settings.Only is null or ParallelOptions.Reductions;
        bool isTuned = _settings.TunePath is not null;
        bool hasLayers = _settings.Only is ParallelOptions.Layers || (_settings.Only is null && !isTuned);
        bool hasExchanges = _settings.Only is ParallelOptions.Exchanges || (_settings.Only is null && isTuned);
        int layers = hasLayers ? _settings.Bench.Shapes.Count * _settings.Bench.Backends.Count * Splits.Length : 0;
        int compared = (hasReductions ? _settings.Plans.Count : 0) + (hasExchanges ? _settings.ExchangePlans.Count : 0);
        progress.Plan((compared * _settings.Tokens.Count) + (layers * (1 + _settings.LayerTokens.Count)));
        for (int i = 0; i < _settings.Plans.Count; i++)
        {
            string? plan = _settings.Plans[i];
            MoeHost host = _createHost(plan);
            try
            {
                (string id, IMoeInstrumentedBackend backend) = Find(host, Request(_settings.Tokens.Max()));
                Result ??= Begin(backend);
                if (hasReductions)
                {
                    MeasureReductions(host, id, backend, plan, progress);
                }

                if (hasExchanges && _settings.ExchangePlans.Contains(plan))
                {
                    MeasureExchanges(host, id, backend, plan, progress);
                }

                if (hasReductions && _settings.ComparesNccl && i == 0)
                {
                    MeasureNccl(id, progress);
                }

                // Plans are compared by their reductions; layers follow the first.
                if (hasLayers && i == 0)
                {
                    MeasureLayers(host, id, progress);
                }
            }
            finally
            {
                host.DisposeAsync().AsTask().GetAwaiter().GetResult();
            }
        }

        return Result!;
    }

    private ParallelResult Begin(IMoeInstrumentedBackend backend)
    {
        using IMoeInstruments instruments = backend.CreateInstruments(_settings.Devices[_settings.Process?.Rank ?? 0]);
        MoeDeviceCondition condition = FitDevice.Require(instruments.ReadCondition());
        return new ParallelResult
        {
            Date = RunStamp.Now(),
            Device = condition.Name,
            Driver = condition.Driver,
            Ranks = _settings.Devices.Count,
            Width = _settings.Width,
            Seed = _settings.Bench.Seed,
            Version = RunStamp.Version,
        };
    }

    private static string NameOf(string id, string? plan, int tokens) => $"{id}{(plan is null ? "" : $" {plan}")}: {HumanText.Count(tokens, "token")}";

    private MoeRendezvous? Join() => _settings.Process is var (rank, path)
        ? MoeRendezvous.Join(new MoeRendezvousOptions { Address = $"unix:{path}", Rank = rank, Count = _settings.Devices.Count })
        : null;

    private MoeGroupRequest Request(int maxTokens) => new() { Devices = _settings.Devices, MaxTokens = maxTokens, Width = _settings.Width };

    private void MeasureReductions(MoeHost host, string id, IMoeInstrumentedBackend backend, string? plan, ProgressLine progress)
    {
        using MoeRendezvous? rendezvous = Join();
        using IMoeGroup group = host.CreateGroup(Request(_settings.Tokens.Max()) with { Rendezvous = rendezvous }, id);
        using var bench = new ReductionBench(group, rendezvous is null ? new ThreadMeeting(group) : new ProcessMeeting(rendezvous), backend, _settings.Bench);
        foreach (int tokens in _settings.Tokens)
        {
            progress.Begin(NameOf(id, plan, tokens));
            _cancellationToken.ThrowIfCancellationRequested();
            Result!.Reductions.Add(bench.Measure(id, plan, tokens, _cancellationToken));
            Save();
            progress.Step();
        }
    }

    private void MeasureNccl(string id, ProgressLine progress)
    {
        progress.Begin($"{id} {ParallelOptions.NcclPlan}: a process for each rank");
        try
        {
            Result!.Reductions.AddRange(ReductionProcesses.Measure(_settings, _settings.PluginFolders, id, ParallelOptions.NcclPlan, _cancellationToken));
            Save();
        }
        catch (MoeException exception)
        {
            // What was measured is worth having without it.
            Result!.Notes.Add(exception.Message);
            Result.HasFailed = true;
        }
    }

    private void MeasureExchanges(MoeHost host, string id, IMoeInstrumentedBackend backend, string? plan, ProgressLine progress)
    {
        int ranks = _settings.Devices.Count;
        using IMoeGroup group = host.CreateGroup(Request(Math.Max(_settings.Tokens.Max() / ranks, 1) * ranks), id);
        using var bench = new ExchangeBench(group, backend, _settings.Bench);
        foreach (int tokens in _settings.Tokens)
        {
            progress.Begin($"{NameOf(id, plan, tokens)} of {ranks} ranks");
            _cancellationToken.ThrowIfCancellationRequested();
            if (tokens % ranks == 0)
            {
                Result!.Exchanges.Add(bench.Measure(id, plan, tokens, _cancellationToken));
                Save();
            }
            else
            {
                Result!.Notes.Add($"{ranks} ranks cannot bring {HumanText.Count(tokens, "token")} in equal shares.");
            }

            progress.Step();
        }
    }

    private void MeasureLayers(MoeHost host, string group, ProgressLine progress)
    {
        var plan = BenchPlan.Create(host, _settings.Bench with { Tokens = _settings.LayerTokens, Device = _settings.Devices[0] });
        Result!.Notes.AddRange(plan.Skipped);
        foreach (IGrouping<MoeLayerShape, BenchTarget> targets in plan.Targets.GroupBy(target => target.Shape))
        {
            progress.Begin($"{LayerShapeText.Describe(targets.Key)}: random weights");
            using var source = new BenchSource(targets.Key, _settings.Bench);
            foreach (BenchTarget target in targets)
            {
                foreach (bool isByExpert in Splits)
                {
                    MeasureLayer(host, target, group, isByExpert, source, progress);
                }
            }
        }
    }

    private void MeasureLayer(MoeHost host, BenchTarget target, string group, bool isByExpert, BenchSource source, ProgressLine progress)
    {
        string name = $"{target.Backend}, {LayerShapeText.SizesOf(target.Shape)}, by {(isByExpert ? "expert" : "tensor")}";
        try
        {
            progress.Begin($"{name}: loading");
            using var bench = new LayerBench(host, target, group, _settings, isByExpert, source, _cancellationToken);
            progress.Step();
            foreach (int tokens in _settings.LayerTokens)
            {
                progress.Begin($"{name}: {HumanText.Count(tokens, "token")}");
                _cancellationToken.ThrowIfCancellationRequested();
                Result!.Layers.Add(bench.Measure(tokens, _cancellationToken));
                Save();
                progress.Step();
            }
        }
        catch (MoeException exception) when (exception is MoePluginException || exception.Reason is not (MoeReason.Configuration or MoeReason.NotFound))
        {
            // The other layers are worth measuring all the same.
            Result!.Notes.Add($"{name}: {exception.Message}");
            Result.HasFailed = true;
        }
    }

    private void Save()
    {
        if (_settings.Bench.OutputPath is not null)
        {
            Result!.Save(_settings.Bench.OutputPath);
        }
    }

    private (string Id, IMoeInstrumentedBackend Backend) Find(MoeHost host, MoeGroupRequest request)
    {
        var refusals = new List<string>();
        (string Id, IMoeInstrumentedBackend Backend, int Score)? best = null;
        string[] found = [.. host.Plugins.Select(plugin => plugin.Id).Distinct()];
        if (_settings.Group is { } named && !found.Contains(named, StringComparer.OrdinalIgnoreCase))
        {
            throw new CommandException(
                ExitCode.NoBackend,
                $"--group is '{PlainText.Of(named)}', which was not found.{DidYouMean.Ask(named, found)} Found: {string.Join(", ", found)}.");
        }

        foreach (string id in found)
        {
            bool isMeant = _settings.Group is null || id.Equals(_settings.Group, StringComparison.OrdinalIgnoreCase);
            IMoeBackend? backend = isMeant ? host.FindBackend(id) : null;
            if (isMeant && backend is null)
            {
                refusals.Add($"{id}: {host.Plugins.FirstOrDefault(plugin => plugin.Id == id)?.Message}");
            }

            if (backend is not IMoeParallelBackend parallel)
            {
                continue;
            }

            MoeProbeResult result = parallel.ProbeGroup(request);
            if (!result.IsSupported)
            {
                refusals.Add($"{id}: {result.Message}");
            }
            else if (parallel is not IMoeInstrumentedBackend instrumented)
            {
                refusals.Add($"{id} cannot measure its devices: it does not implement {nameof(IMoeInstrumentedBackend)}.");
            }
            else if (best is null || result.Score > best.Value.Score)
            {
                best = (id, instrumented, result.Score);
            }
        }

        return best is var (chosen, measured, _)
            ? (chosen, measured)
            : throw new CommandException(ExitCode.NoBackend, $"No plugin has a group of {string.Join(", ", _settings.Devices)} to measure; --devices names others, such as cpu,cpu.{string.Concat(refusals.Select(refusal => $"\n  {refusal}"))}");
    }
}
