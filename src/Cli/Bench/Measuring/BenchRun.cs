using System.Globalization;

namespace Moe.Plugins.Cli;

/// <summary>Measures everything that was asked for, one row after the other.</summary>
internal sealed class BenchRun
{
    /// <summary>Multiplications in float64 that checking one row may cost.</summary>
    internal const double MultiplicationBudget = 1e9;

    /// <summary>Change of the ceilings over a run that is worth telling.</summary>
    private const double NotableDrift = 0.05;

    private readonly MoeHost _host;
    private readonly BenchSettings _settings;
    private readonly BenchPlan _plan;
    private readonly CancellationToken _cancellationToken;
    private ProgressLine _progress = null!;
    private BenchFloor _floor;

    /// <summary>Finds out what there is to measure.</summary>
    /// <exception cref="CommandException">A backend that was named cannot be measured, or none can.</exception>
    public BenchRun(MoeHost host, BenchSettings settings, CancellationToken cancellationToken)
    {
        _host = host;
        _settings = settings;
        _plan = BenchPlan.Create(host, settings);
        _cancellationToken = cancellationToken;
    }

    /// <summary>What was measured so far; null before the ceilings are.</summary>
    public BenchResult? Result { get; private set; }

    /// <summary>Runs the benchmark.</summary>
    /// <exception cref="CommandException">The device is held back.</exception>
    /// <exception cref="MoeException">A file or setting is wrong.</exception>
    public BenchResult Execute(ProgressLine progress)
    {
        _progress = progress;
        BenchTarget first = _plan.Targets[0];
        BenchResult result;
        int shapes = _plan.Targets.Select(target => target.Shape).Distinct().Count();
        _progress.Plan(2 + shapes + (_plan.Targets.Count * (1 + _settings.Tokens.Count)));
        _progress.Begin("ceilings");
        using (IMoeInstruments instruments = first.Instruments.CreateInstruments(first.Device))
        {
            FitDevice.Require(instruments.ReadCondition());
            MoeCeilings ceilings = instruments.MeasureCeilings(_cancellationToken);

            // Once more: a device that idles does not say what holds it back under load.
            MoeDeviceCondition condition = FitDevice.Require(instruments.ReadCondition());
            _floor = BenchFloor.Of(ceilings, first.Device);
            Result = result = Begin(condition, ceilings, first.Device);
        }

        _progress.Step();
        Save(result);
        foreach (IGrouping<MoeLayerShape, BenchTarget> targets in _plan.Targets.GroupBy(target => target.Shape))
        {
            _progress.Begin($"{LayerShapeText.Describe(targets.Key)}: random weights");
            using var source = new BenchSource(targets.Key, _settings);
            _progress.Step();
            foreach (BenchTarget target in targets)
            {
                Measure(target, source, result);
            }
        }

        NoteDrift(first, result);
        Save(result);
        return result;
    }

    /// <summary>Measures the ceilings once more: on a shared machine others take and give back what floors are of.</summary>
    private void NoteDrift(BenchTarget target, BenchResult result)
    {
        _progress.Begin("ceilings again");
        using IMoeInstruments instruments = target.Instruments.CreateInstruments(target.Device);
        var after = BenchFloor.Of(instruments.MeasureCeilings(_cancellationToken), target.Device);
        bool isSteady = Math.Abs((after.GigabytesPerSecond / _floor.GigabytesPerSecond) - 1) <= NotableDrift
            && Math.Abs((after.Teraflops / _floor.Teraflops ?? 1) - 1) <= NotableDrift;
        if (!isSteady)
        {
            result.Notes.Add(string.Create(
                CultureInfo.InvariantCulture,
                $"The ceilings changed during the run: bandwidth from {_floor.GigabytesPerSecond:0.0} to {after.GigabytesPerSecond:0.0} GB/s, rate from {_floor.Teraflops:0.###} to {after.Teraflops:0.###} TFLOP/s. Floors are of the first ones, so the ratios to them are that uncertain."));
        }
    }

    private void Save(BenchResult result)
    {
        if (_settings.OutputPath is not null)
        {
            result.Save(_settings.OutputPath);
        }
    }

    private BenchResult Begin(MoeDeviceCondition condition, MoeCeilings ceilings, MoeDevice device) => new()
    {
        Date = RunStamp.Now(),
        Device = condition.Name,
        Driver = condition.Driver,
        Throttle = condition.Throttle,
        CopyGbps = Math.Round(ceilings.CopyGigabytesPerSecond, 2),
        ReadGbps = Math.Round(ceilings.ReadGigabytesPerSecond, 2),
        MatrixTflops = double.IsFinite(ceilings.MatrixTeraflops) ? Math.Round(ceilings.MatrixTeraflops, 4) : null,
        MatrixSource = ceilings.MatrixSource,
        Fp8Tflops = double.IsFinite(ceilings.Fp8Teraflops) ? Math.Round(ceilings.Fp8Teraflops, 4) : null,
        Fp8Source = ceilings.Fp8Source,
        FloorBandwidth = device.Kind == MoeDeviceKind.Cpu ? "read" : "copy",
        Routing = _settings.RoutingName,
        Seed = _settings.Seed,
        Rest = _settings.Rest,
        Version = RunStamp.Version,
        Skipped = _plan.Skipped,
    };

    private void Measure(BenchTarget target, BenchSource source, BenchResult result)
    {
        string name = $"{target.Backend}, {LayerShapeText.SizesOf(target.Shape)}, {LayerShapeText.Name(target.Shape.WeightFormat)}";
        try
        {
            _progress.Begin($"{name}: loading");
            using var layer = new BenchLayer(_host, target, source, _settings, forcePadding: false, _cancellationToken);
            using IMoeInstruments instruments = target.Instruments.CreateInstruments(target.Device);
            _progress.Step();
            foreach (int tokens in _settings.Tokens)
            {
                _progress.Begin($"{name}: {HumanText.Count(tokens, "token")}");
                _cancellationToken.ThrowIfCancellationRequested();
                BenchRow row = MeasureRow(target, source, layer, instruments, tokens, result.Notes);
                MoeDeviceCondition condition = FitDevice.Require(instruments.ReadCondition());
                result.Rows.Add(row with { Throttle = condition.Throttle });
                Save(result);
                _progress.Step();
            }
        }
        catch (MoeException exception) when (exception is MoePluginException || exception.Reason is not (MoeReason.Configuration or MoeReason.NotFound))
        {
            // The other backends are worth measuring all the same.
            result.Notes.Add($"{name}: {exception.Message}");
            result.HasFailed = true;
        }
    }

    private BenchRow MeasureRow(
        BenchTarget target, BenchSource source, BenchLayer layer, IMoeInstruments instruments, int tokens, List<string> notes)
    {
        int forwards = layer.Forwards(tokens);
        layer.SpoilResults(tokens);
        using IMoeRecording recording = instruments.Record(stream => layer.Enqueue(tokens, stream));
        recording.Replay();
        LayerBatch batch = layer.ReadResults(tokens);
        OutputCheck check = Check(source, layer, batch);
        double experts = DistinctExperts(batch.TopKIds, tokens);
        bool isFp8 = layer.MultipliesFp8(tokens);
        double floor = _floor.Microseconds(target.Shape, tokens, experts, isFp8);
        var row = new BenchRow
        {
            Backend = target.Backend,
            Shape = LayerShapeText.SizesOf(target.Shape),
            Weights = LayerShapeText.Name(target.Shape.WeightFormat).ToLowerInvariant(),
            Tokens = tokens,
            FloorMicroseconds = Math.Round(floor, 3),
            Fp8 = isFp8,
            Kernels = recording.KernelCount / forwards,
            WeightBytes = layer.WeightBytes,
            WorkspaceBytes = layer.WorkspaceBytes,
            RelativeError = double.IsFinite(check.Difference.RelativeError) ? check.Difference.RelativeError : null,
            RelativeErrorLimit = layer.ErrorLimit,
            DistinctExperts = Math.Round(experts, 3),
            Right = check.Passed,
        };
        if (source.Strayed(batch.TopKIds) is > 0 and int strayed)
        {
            notes.Add($"{row.Backend}, {row.Shape}, {tokens} tokens: {strayed} of {batch.TopKIds.Rows} tokens went to other experts than those of {_settings.RoutingName}.");
        }

        if (!row.Right)
        {
            return row;
        }

        layer.SpoilResults(tokens);

        // What the check left behind shall not be collected while the clock runs.
        GC.Collect();
        BenchTimes times = BenchTimes.Measure(recording, forwards, _settings, _cancellationToken);

        // What was timed must be right as well. Of logits that tie, a later replay may take the other.
        batch = layer.ReadResults(tokens);
        bool isStillRight = check.Holds(batch.Output) || Check(source, layer, batch).Passed;
        return isStillRight ? WithTimes(row, times, target.Shape, floor, experts) : row with { Right = false };
    }

    private OutputCheck Check(BenchSource source, BenchLayer layer, LayerBatch batch) => OutputCheck.Create(
        source.Shape, source.Weights, batch, layer.ErrorLimit, MultiplicationBudget, _cancellationToken);

    private static BenchRow WithTimes(BenchRow row, BenchTimes times, MoeLayerShape shape, double floor, double experts) =>
        row with
        {
            Microseconds = Math.Round(times.Median, 3),
            Spread = Math.Round(times.Spread, 3),
            Replays = times.Count,
            RatioToFloor = Math.Round(times.Median / floor, 4),
            Gbps = Math.Round(BenchFloor.Bytes(shape, experts) / times.Median / 1e3, 2),
            Tflops = Math.Round(BenchFloor.Operations(shape, row.Tokens) / times.Median / 1e6, 4),
        };

    /// <summary>Distinct experts of one forward, the mean of all.</summary>
    private static unsafe double DistinctExperts(MoeTensorView ids, int tokens)
    {
        double sum = 0;
        for (int first = 0; first < ids.Rows; first += tokens)
        {
            sum += new ReadOnlySpan<int>((void*)ids.RowAddress(first), tokens * ids.Columns).ToArray().Distinct().Count();
        }

        return sum * tokens / ids.Rows;
    }
}
