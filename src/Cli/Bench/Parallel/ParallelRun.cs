namespace Moe.Plugins.Cli;

/// <summary>Measures a group's reductions, plan by plan.</summary>
internal sealed class ParallelRun
{
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
        progress.Plan(_settings.Plans.Count * _settings.Tokens.Count);
        foreach (string? plan in _settings.Plans)
        {
            MoeHost host = _createHost(plan);
            try
            {
                Measure(host, plan, progress);
            }
            finally
            {
                host.DisposeAsync().AsTask().GetAwaiter().GetResult();
            }
        }

        return Result!;
    }

    private void Measure(MoeHost host, string? plan, ProgressLine progress)
    {
        MoeGroupRequest request = new()
        {
            Devices = _settings.Devices,
            MaxTokens = _settings.Tokens.Max(),
            Width = _settings.Width,
        };
        (string id, IMoeInstrumentedBackend instrumented) = Find(host, request);
        using (IMoeInstruments instruments = instrumented.CreateInstruments(_settings.Devices[0]))
        {
            MoeDeviceCondition condition = FitDevice.Require(instruments.ReadCondition());
            Result ??= new ParallelResult
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

        using IMoeGroup group = host.CreateGroup(request, id);
        using var bench = new ReductionBench(group, instrumented, _settings.Bench);
        foreach (int tokens in _settings.Tokens)
        {
            progress.Begin($"{id}{(plan is null ? "" : $" {plan}")}: {HumanText.Count(tokens, "token")}");
            _cancellationToken.ThrowIfCancellationRequested();
            Result.Reductions.Add(bench.Measure(tokens, _cancellationToken) with { Group = id, Plan = plan });
            if (_settings.Bench.OutputPath is not null)
            {
                Result.Save(_settings.Bench.OutputPath);
            }

            progress.Step();
        }
    }

    private (string Id, IMoeInstrumentedBackend Backend) Find(MoeHost host, MoeGroupRequest request)
    {
        var refusals = new List<string>();
        (string Id, IMoeInstrumentedBackend Backend, int Score)? best = null;
        foreach (string id in host.Plugins.Select(plugin => plugin.Id).Distinct())
        {
            bool isMeant = _settings.Group is null || id.Equals(_settings.Group, StringComparison.OrdinalIgnoreCase);
            if (!isMeant || host.FindBackend(id) is not IMoeParallelBackend parallel)
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

        return best is var (found, backend, _)
            ? (found, backend)
            : throw new CommandException(ExitCode.NoBackend, $"No plugin has such a group to measure.{string.Concat(refusals.Select(refusal => $"\n  {refusal}"))}");
    }
}
