namespace Moe.Plugins.Cli;

/// <summary>Measures each layer twice: as its method takes it, and with the host padding and slicing around it.</summary>
internal sealed class PaddingRun
{
    private readonly MoeHost _host;
    private readonly BenchSettings _settings;
    private readonly BenchPlan _plan;
    private readonly CancellationToken _cancellationToken;

    /// <summary>Finds out what there is to measure.</summary>
    /// <exception cref="CommandException">A backend cannot be measured.</exception>
    public PaddingRun(MoeHost host, BenchSettings settings, CancellationToken cancellationToken)
    {
        _host = host;
        _settings = settings;
        _plan = BenchPlan.Create(host, settings);
        _cancellationToken = cancellationToken;
    }

    /// <summary>What was measured so far; null before anything was.</summary>
    public PaddingResult? Result { get; private set; }

    /// <summary>Runs the benchmark.</summary>
    /// <exception cref="CommandException">The device is held back, or a backend pads and slices the same either way.</exception>
    /// <exception cref="MoeException">A backend failed, or a file cannot be written.</exception>
    public PaddingResult Execute(ProgressLine progress)
    {
        PaddingResult result = Begin(_plan.Targets[0]);
        progress.Plan(_plan.Targets.Select(target => target.Shape).Distinct().Count() + (_plan.Targets.Count * (1 + _settings.Tokens.Count)));
        foreach (IGrouping<MoeLayerShape, BenchTarget> targets in _plan.Targets.GroupBy(target => target.Shape))
        {
            progress.Begin($"{LayerShapeText.Describe(targets.Key)}: random weights");
            using var source = new BenchSource(targets.Key, _settings);
            progress.Step();
            foreach (BenchTarget target in targets)
            {
                Measure(target, source, result, progress);
            }
        }

        return result;
    }

    private PaddingResult Begin(BenchTarget target)
    {
        using IMoeInstruments instruments = target.Instruments.CreateInstruments(target.Device);
        MoeDeviceCondition condition = FitDevice.Require(instruments.ReadCondition());
        return Result = new PaddingResult
        {
            Date = RunStamp.Now(),
            Device = condition.Name,
            Driver = condition.Driver,
            Seed = _settings.Seed,
            Version = RunStamp.Version,
        };
    }

    private void Measure(BenchTarget target, BenchSource source, PaddingResult result, ProgressLine progress)
    {
        string name = $"{target.Backend}, {LayerShapeText.SizesOf(target.Shape)}";
        progress.Begin($"{name}: loading");
        using var padded = new BenchLayer(_host, target, source, _settings, forcePadding: true, _cancellationToken);
        using var skipping = new BenchLayer(_host, target, source, _settings, forcePadding: false, _cancellationToken);
        RequireDifference(target.Backend, padded.Config, skipping.Config);
        using IMoeInstruments instruments = target.Instruments.CreateInstruments(target.Device);
        progress.Step();
        foreach (int tokens in _settings.Tokens)
        {
            progress.Begin($"{name}: {HumanText.Count(tokens, "token")}");
            _cancellationToken.ThrowIfCancellationRequested();
            PaddingRow row = MeasureRow(target, source, padded, skipping, instruments, tokens);
            result.Rows.Add(row with { Throttle = FitDevice.Require(instruments.ReadCondition()).Throttle });
            if (_settings.OutputPath is not null)
            {
                result.Save(_settings.OutputPath);
            }

            progress.Step();
        }
    }

    private PaddingRow MeasureRow(
        BenchTarget target, BenchSource source, BenchLayer padded, BenchLayer skipping, IMoeInstruments instruments, int tokens)
    {
        int forwards = skipping.Forwards(tokens);
        padded.SpoilResults(tokens);
        skipping.SpoilResults(tokens);
        using IMoeRecording with = instruments.Record(stream => padded.Enqueue(tokens, stream));
        using IMoeRecording without = instruments.Record(stream => skipping.Enqueue(tokens, stream));
        with.Replay();
        without.Replay();
        LayerBatch batch = skipping.ReadResults(tokens);
        var check = OutputCheck.Create(
            source.Shape, source.Weights, batch, skipping.ErrorLimit, BenchRun.MultiplicationBudget, _cancellationToken);
        double error = check.Difference.RelativeError;
        var row = new PaddingRow
        {
            Backend = target.Backend,
            Shape = LayerShapeText.SizesOf(target.Shape),
            Tokens = tokens,
            Padded = Side(with, padded, forwards),
            Skipping = Side(without, skipping, forwards),
            SavedBytes = CopiedBytes(padded.Config, tokens) - CopiedBytes(skipping.Config, tokens),
            RelativeError = double.IsFinite(error) ? error : null,
            Right = check.Passed && HaveSameBits(padded.ReadResults(tokens).Output, batch.Output),
        };
        if (!row.Right)
        {
            return row;
        }

        padded.SpoilResults(tokens);
        skipping.SpoilResults(tokens);

        // What the check left behind shall not be collected while the clock runs.
        GC.Collect();
        var times = PaddingTimes.Measure(with, without, forwards, _settings, _cancellationToken);
        MoeTensorView output = skipping.ReadResults(tokens).Output;
        bool isStillRight = check.Holds(output) && HaveSameBits(padded.ReadResults(tokens).Output, output);
        return isStillRight ? WithTimes(row, times) : row with { Right = false };
    }

    // What the host's copies around a forward read and write.
    private static long CopiedBytes(MoeLayerConfig config, int tokens)
    {
        long values = (long)tokens * config.Shape.HiddenSize;
        return 2 * ((config.HostPadsInput ? values * config.Options.InputType.ByteSize() : 0)
            + (config.HostSlicesOutput ? values * config.Options.OutputType.ByteSize() : 0));
    }

    private static PaddingSide Side(IMoeRecording recording, BenchLayer layer, int forwards) =>
        new() { Kernels = recording.KernelCount / forwards, WorkspaceBytes = layer.WorkspaceBytes };

    private static PaddingRow WithTimes(PaddingRow row, PaddingTimes times) => row with
    {
        Padded = WithTime(row.Padded, times.Padded),
        Skipping = WithTime(row.Skipping, times.Skipping),
        SavedMicroseconds = Math.Round(times.Saved.Median, 3),
        SavedSpread = Math.Round(times.Saved.Spread, 3),
        Replays = times.Saved.Count,
    };

    private static PaddingSide WithTime(PaddingSide side, BenchTimes times) =>
        side with { Microseconds = Math.Round(times.Median, 3), Spread = Math.Round(times.Spread, 3) };

    private static void RequireDifference(string backend, MoeLayerConfig padded, MoeLayerConfig skipping)
    {
        if ((padded.InputWidth, padded.OutputWidth) == (skipping.InputWidth, skipping.OutputWidth))
        {
            throw new CommandException(
                ExitCode.BadInput,
                $"{backend} pads hidden size {skipping.Shape.HiddenSize} to {skipping.HiddenSize} and takes inputs {skipping.InputWidth} wide and writes outputs "
                + $"{skipping.OutputWidth} wide either way: it skips no padding, so there is nothing to compare.");
        }
    }

    private static unsafe bool HaveSameBits(MoeTensorView one, MoeTensorView other)
    {
        for (int row = 0; row < one.Rows; row++)
        {
            var bytes = new ReadOnlySpan<byte>((void*)one.RowAddress(row), (int)one.RowBytes);
            if (!bytes.SequenceEqual(new ReadOnlySpan<byte>((void*)other.RowAddress(row), (int)other.RowBytes)))
            {
                return false;
            }
        }

        return true;
    }
}
