namespace Moe.Plugins.Cli;

/// <summary>What a run measures: all on one device, for one set of ceilings is what floors are of.</summary>
internal sealed class BenchPlan
{
    private readonly MoeHost _host;
    private readonly BenchSettings _settings;
    private readonly List<(string Id, string Reason)> _skipped = [];

    private BenchPlan(MoeHost host, BenchSettings settings)
    {
        _host = host;
        _settings = settings;
    }

    public List<BenchTarget> Targets { get; } = [];

    /// <summary>Backends that nobody named and that cannot be measured, with their reason, the same reason once.</summary>
    public List<string> Skipped =>
        [.. _skipped.GroupBy(skip => skip.Reason, skip => skip.Id).Select(same => $"not measured: {string.Join(", ", same.Distinct())}: {same.Key}")];

    /// <exception cref="CommandException">A backend that was named cannot be measured, or none can.</exception>
    public static BenchPlan Create(MoeHost host, BenchSettings settings)
    {
        var plan = new BenchPlan(host, settings);
        plan.Add();
        return plan.Targets.Count > 0
            ? plan
            : throw new CommandException(ExitCode.NoBackend, $"There is nothing to measure.\n{string.Join('\n', plan.Skipped)}");
    }

    private void Add()
    {
        bool areNamed = _settings.Backends.Count > 0;
        string[] ids = areNamed ? [.. _settings.Backends.Distinct(StringComparer.OrdinalIgnoreCase)] : [.. _host.Plugins.Select(plugin => plugin.Id).Distinct()];
        MoeDevice? device = _settings.Device;
        if (device is null && !areNamed)
        {
            device = _host.Explain(Request(_settings.Shapes[0], MoeOptions.Auto, null)).Selected?.Device;
        }

        foreach (MoeLayerShape shape in _settings.Shapes)
        {
            foreach (string id in ids)
            {
                string? refusal = TryAdd(id, shape, ref device);
                if (refusal is not null && areNamed)
                {
                    throw new CommandException(ExitCode.NoBackend, refusal);
                }

                if (refusal is not null)
                {
                    _skipped.Add((id, refusal));
                }
            }
        }
    }

    private string? TryAdd(string id, MoeLayerShape shape, ref MoeDevice? device)
    {
        MoeSelectionReport[] reports = [.. Formats(shape).Select(format => _host.Explain(Request(shape with { WeightFormat = format }, id, _settings.Device)))];
        MoeSelectionReport? best = reports.Where(report => report.Selected is not null).MaxBy(report => report.Selected!.Score);
        if (best is null)
        {
            if (_settings.Backends.Count > 0)
            {
                throw HostFactory.Refused(reports[0]);
            }

            // Of a backend that nobody named its own words are enough.
            MoeCandidate? candidate = reports[0].Candidates.FirstOrDefault(candidate => candidate.Id.Equals(id, StringComparison.OrdinalIgnoreCase));
            return candidate is null ? reports[0].Sentence : candidate.Message;
        }

        MoeCandidate selected = best.Selected!;
        MoeDevice here = selected.Device!.Value;
        device ??= here;
        if (here != device)
        {
            return $"{selected.Id} runs on {here}, but this run measures {device}; --device chooses another.";
        }

        if (_host.FindBackend(selected.Id) is not IMoeInstrumentedBackend instruments)
        {
            return $"{selected.Id} cannot measure its device: it does not implement {nameof(IMoeInstrumentedBackend)}.";
        }

        Targets.Add(new BenchTarget(selected.Id, best.Request.Shape, here, instruments));
        return null;
    }

    /// <summary>The format that was asked for, or all that the sizes allow. A backend's score says which it is made for.</summary>
    private IEnumerable<MoeWeightFormat> Formats(MoeLayerShape shape)
    {
        if (shape.WeightFormat == MoeWeightFormat.BFloat16)
        {
            return [MoeWeightFormat.BFloat16];
        }

        return _settings.Weights is MoeWeightFormat format ? [format] : [MoeWeightFormat.Mxfp4, MoeWeightFormat.BFloat16];
    }

    private MoeLayerRequest Request(MoeLayerShape shape, string backend, MoeDevice? device) => new()
    {
        Shape = shape,
        Backend = backend,
        NamedBy = _settings.NamedBy,
        Device = device,
        Options = new MoeLayerOptions { MaxTokens = _settings.Tokens.Max() },
    };
}
