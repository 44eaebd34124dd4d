using Moe.Plugins.GptOss;

namespace Moe.Plugins.Cli;

/// <summary>Measures a model. The machine's rates are measured before and after each row, because others may use it meanwhile.</summary>
internal sealed class ModelBenchRun
{
    private readonly LoadedModel _loaded;
    private readonly Random _random;
    private readonly double _seconds;
    private readonly CancellationToken _cancellationToken;
    private readonly IMoeInstruments? _instruments;
    private MoeCeilings? _ceilings;

    public ModelBenchRun(LoadedModel loaded, int seed, double seconds, CancellationToken cancellationToken)
    {
        _loaded = loaded;
        _random = new Random(seed);
        _seconds = seconds;
        _cancellationToken = cancellationToken;
        GptOssModel model = loaded.Model;
        MoeCandidate[] backends = [.. model.ExpertSelections.Select(selection => selection.Selected!)];

        // A floor of one device's rates says something where the experts are on the device that all else is computed on, or ranks share all of it evenly.
        if (backends.All(backend => (backend.Device ?? MoeDevice.Cpu) == model.Devices[0])
            && loaded.Host.FindBackend(backends[0].Id) is IMoeInstrumentedBackend instrumented)
        {
            _instruments = instrumented.CreateInstruments(model.Devices[0]);
        }

        Result = new ModelBenchResult
        {
            Date = RunStamp.Now(),
            Version = RunStamp.Version,
            Device = $"{(model.Devices.Count > 1 ? $"{model.Devices.Count} × " : "")}{_instruments?.ReadCondition().Name ?? $"{model.Devices[0]} and the experts' devices"}",
            Model = $"{model.Name}: {HumanText.Layers(model.Config)}, {HumanText.Bytes(model.WeightByteCount)} of weights",
            Experts = string.Join(", ", backends.GroupBy(backend => backend.Id).Select(group => $"{group.Key} ({HumanText.Count(group.Count(), "layer")})")),
            Types = $"{(model.ThreadCount > 0 ? HumanText.Count(model.ThreadCount, "thread") : string.Join(", ", model.Devices))}, chunks of {model.ChunkTokens}",
            LoadSeconds = Math.Round(loaded.LoadTime.TotalSeconds, 3),
        };
        _ceilings = _instruments?.MeasureCeilings(cancellationToken);
    }

    /// <summary>Where the result is written, anew after each row; null for nowhere.</summary>
    public required string? OutputPath { get; init; }

    public ModelBenchResult Result { get; }

    /// <summary>Reads a prompt of so many tokens, and finds the likeliest one after it, again and again.</summary>
    public void MeasurePrefill(int tokens)
    {
        using var sequences = new BenchSequences(_loaded.Model, batch: 1, context: 0, _random, _cancellationToken);
        int[] prompt = sequences.Tokens(tokens);
        Measure(ModelBenchRow.Prefill, batch: 1, context: 0, tokens, () => sequences.Step(prompt, _cancellationToken));
    }

    /// <summary>Gives each of some sequences one more token, and finds the likeliest one after it, again and again, at the same place.</summary>
    public void MeasureDecode(int batch, int context)
    {
        using var sequences = new BenchSequences(_loaded.Model, batch, context, _random, _cancellationToken);
        Measure(ModelBenchRow.Decode, batch, context, 1, () => sequences.Step(sequences.Tokens(batch), _cancellationToken));
    }

    private void Measure(string phase, int batch, int context, int tokens, Action step)
    {
        step();
        _ = _instruments?.ReadCondition();
        var times = new List<double>();
        StepTimes.Take(times, _seconds, step);
        string? throttle = _instruments?.ReadCondition().Throttle;
        MoeCeilings? before = _ceilings;
        _ceilings = _instruments?.MeasureCeilings(_cancellationToken);
        (double median, double spread) = StepTimes.Of(times);
        GptOssModel model = _loaded.Model;
        var cost = new ModelCost(model.Config, model.ExpertSelections[0].Request.Shape, _loaded.CacheType);
        Result.Rows.Add(new ModelBenchRow
        {
            Phase = phase,
            Batch = batch,
            Context = context,
            Tokens = tokens,
            Milliseconds = median,
            Spread = spread,
            Replays = times.Count,
            Bytes = cost.Bytes(batch, context, tokens) / model.Devices.Count,
            Operations = cost.Operations(batch, context, tokens) / model.Devices.Count,
            ReadGbps = (before?.ReadGigabytesPerSecond + _ceilings?.ReadGigabytesPerSecond) / 2,
            FmaGflops = (before?.MatrixTeraflops + _ceilings?.MatrixTeraflops) / 2 * 1e3,
            Throttle = throttle,
        });
        if (OutputPath is not null)
        {
            BenchJson.Save(OutputPath, Result);
        }
    }
}
