using Moe.Plugins.GptOss;

namespace Moe.Plugins.Cli;

/// <summary>Measures steps of a whole model over several GPUs with its expert layers run each of the ways, in turns.</summary>
internal sealed class ExperimentRun
{
    /// <summary>Turns of each way: what the machine does meanwhile strikes all of them.</summary>
    private const int Turns = 3;

    /// <summary>The first step is launched kernel by kernel, the second is recorded.</summary>
    private const int StepsBefore = 4;

    /// <summary>
    /// How far the logits of two ways may be apart. With random weights rounding sends some tokens to other experts; after a mistake the logits have nothing
    /// to do with each other.
    /// </summary>
    private const double MostError = 0.3;

    private readonly GptOssModel _model;
    private readonly WayHost _host;
    private readonly Random _random;
    private readonly double _seconds;
    private readonly CancellationToken _cancellationToken;

    /// <exception cref="CommandException">There are no ranks whose ways could be compared.</exception>
    public ExperimentRun(LoadedModel loaded, int seed, double seconds, CancellationToken cancellationToken)
    {
        _model = loaded.Model;
        _host = loaded.Ways!;
        _random = new Random(seed);
        _seconds = seconds;
        _cancellationToken = cancellationToken;
        if (_model.Devices.Count < 2)
        {
            throw new CommandException(
                ExitCode.BadInput, $"{ModelBenchCommand.ExperimentName} compares how GPUs sum up what each has; --devices with two or more of them is expected.");
        }

        MoeCandidate experts = _model.ExpertSelections[0].Selected!;
        using IMoeInstruments? instruments = (loaded.Host.FindBackend(experts.Id) as IMoeInstrumentedBackend)?.CreateInstruments(_model.Devices[0]);
        Result = new ExperimentResult
        {
            Date = RunStamp.Now(),
            Version = RunStamp.Version,
            Device = instruments?.ReadCondition().Name ?? $"{_model.Devices[0]}",
            Ranks = _model.Devices.Count,
            Model = $"{_model.Name}: {HumanText.Layers(_model.Config)}",
            Experts = experts.Id,
        };
    }

    /// <summary>Where the result is written, anew after each row; null for nowhere.</summary>
    public required string? OutputPath { get; init; }

    public ExperimentResult Result { get; }

    /// <summary>Measures steps of some sequences.</summary>
    /// <exception cref="MoeException">The ways come to different results.</exception>
    public void Measure(int batch, int context)
    {
        using var sequences = new BenchSequences(_model, batch, context, _random, _cancellationToken);
        var times = _host.Ways.ToDictionary(way => way, _ => new List<double>());
        int[] tokens = sequences.Tokens(batch);
        float[]? first = null;
        for (int turn = 0; turn < Turns; turn++)
        {
            foreach (LayerWay way in _host.Ways)
            {
                _host.Way = way;
                _model.RefreshExperts(_cancellationToken);
                for (int step = 0; step < StepsBefore; step++)
                {
                    sequences.Step(sequences.Tokens(batch), _cancellationToken);
                }

                if (turn == 0)
                {
                    float[] logits = sequences.Logits(tokens, _cancellationToken);
                    first ??= logits;
                    Require(batch, way, logits, first);
                }

                StepTimes.Take(times[way], _seconds / Turns, () => sequences.Step(sequences.Tokens(batch), _cancellationToken));
            }
        }

        Result.Steps.Add(new ExperimentRow
        {
            Batch = batch,
            Context = context,
            Padded = times.TryGetValue(LayerWay.Padded, out List<double>? padded) ? Side(padded, batch) : null,
            Skipping = Side(times[LayerWay.Skipping], batch),
            Fused = Side(times[LayerWay.Fused], batch),
            Replays = times.Values.Min(way => way.Count),
        });
        if (OutputPath is not null)
        {
            BenchJson.Save(OutputPath, Result);
        }
    }

    private static void Require(int batch, LayerWay way, float[] logits, float[] first)
    {
        var error = default(RelativeError);
        for (int i = 0; i < logits.Length; i++)
        {
            error.Add(logits[i], first[i]);
        }

        if (!(error.Value < MostError))
        {
            throw new MoeException(MoeReason.DeviceFailed, $"Logits of {batch} sequences, {way}, are {HumanText.Error(error.Value)} away from those of the first way.");
        }
    }

    private static ExperimentSide Side(List<double> times, int batch)
    {
        (double median, double spread) = StepTimes.Of(times);
        return new ExperimentSide(Math.Round(median, 4), Math.Round(spread, 4), Math.Round(batch / median * 1e3, 1));
    }
}
