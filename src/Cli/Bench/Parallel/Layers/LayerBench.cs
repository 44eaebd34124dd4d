namespace Moe.Plugins.Cli;

/// <summary>A layer over the ranks of a group: checks the ways, then replays them in turns.</summary>
internal sealed class LayerBench : IDisposable
{
    /// <summary>Of normed values that were rounded once or twice on the way.</summary>
    private const double NormErrorLimit = 2e-2;

    private readonly BenchTarget _target;
    private readonly BenchSource _source;
    private readonly BenchSettings _settings;
    private readonly string _split;
    private readonly LayerGroups _groups;
    private readonly LayerTensors _tensors;
    private readonly LayerWay[] _ways;
    private readonly List<LayerRank> _ranks = [];
    private readonly List<IMoeInstruments> _instruments = [];

    /// <exception cref="MoeException">A part does not fit the backend, or a device is out of memory.</exception>
    public LayerBench(
        MoeHost host, BenchTarget target, string group, ParallelSettings settings, bool isByExpert, BenchSource source, CancellationToken cancellationToken)
    {
        _target = target;
        _source = source;
        _settings = settings.Bench;
        _split = isByExpert ? "expert" : "tensor";
        int count = settings.Devices.Count;
        int most = settings.LayerTokens.Max();
        int width = target.Shape.HiddenSize;
        int padded = PaddedPart.WidthOf(host.FindBackend(target.Backend)!, target.Device, target.Shape);

        _groups = new LayerGroups(host, group, new MoeGroupRequest { Devices = settings.Devices, MaxTokens = most, Width = width }, padded);
        _ways = _groups.Ways;
        _tensors = new LayerTensors(source, LayerRank.Forwards * most, settings.Bench.Seed);
        try
        {
            for (int rank = 0; rank < count; rank++)
            {
                var options = new MoeLayerOptions { MaxTokens = most, Part = MoePart.OfRank(rank, isByExpert ? 1 : count, isByExpert ? count : 1) };
                _ranks.Add(new LayerRank(host, target, _groups, _tensors, options, source.Weights, cancellationToken));
                _instruments.Add(target.Instruments.CreateInstruments(settings.Devices[rank]));
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Measures one number of tokens.</summary>
    public LayerRow Measure(int tokens, CancellationToken cancellationToken)
    {
        int rows = LayerRank.Forwards * tokens;
        OnRanks(rank => _ranks[rank].RunSums(tokens));
        bool isRight = ReadAndCompare(tokens);
        _tensors.Sums.CopyFrom(_tensors.Output.View);
        var batch = new LayerBatch(_tensors.Input.View.FirstRows(rows), _tensors.Sums.View.FirstRows(rows), _tensors.Ids.View.FirstRows(rows));
        var check = OutputCheck.Create(_target.Shape, _source.Weights, batch, _ranks[0].ErrorLimit * Tolerance, BenchRun.MultiplicationBudget, cancellationToken);
        isRight &= check.Passed;
        foreach (LayerWay way in _ways)
        {
            Poison.Fill(_tensors.Other);
            OnRanks(rank => _ranks[rank].Run(way, tokens, _tensors.Other));
            isRight &= ReadAndCompare(tokens) && _tensors.NormError(rows) <= NormErrorLimit;
        }

        double error = check.Difference.RelativeError;
        var row = new LayerRow
        {
            Backend = _target.Backend,
            Shape = LayerShapeText.SizesOf(_target.Shape),
            Split = _split,
            Tokens = tokens,
            RelativeError = double.IsFinite(error) ? error : null,
            Right = isRight,
        };
        if (!isRight)
        {
            return row;
        }

        using var meeting = new ThreadMeeting(_groups.Ranks);
        IReadOnlyList<(BenchTimes Times, int Kernels)> times = RankReplays.Measure(
            _groups.Ranks,
            meeting,
            _instruments,
            [.. _ways.Select(way => ((Action<int, nint>)((rank, stream) => _ranks[rank].Enqueue(way, tokens, stream)), LayerRank.Forwards))],
            _settings,
            cancellationToken);
        return row with
        {
            Padded = Side(LayerWay.Padded),
            Skipping = Side(LayerWay.Skipping),
            Fused = Side(LayerWay.Fused),
            Replays = times[0].Times.Count,
            Right = ReadAndCompare(tokens) && _tensors.NormError(rows) <= NormErrorLimit,
        };

        LayerSide? Side(LayerWay way)
        {
            int place = Array.IndexOf(_ways, way);
            return place < 0
                ? null
                : new LayerSide(Math.Round(times[place].Times.Median, 3), Math.Round(times[place].Times.Spread, 3), times[place].Kernels);
        }
    }

    public void Dispose()
    {
        _instruments.ForEach(instruments => instruments.Dispose());
        _ranks.ForEach(rank => rank.Dispose());
        _tensors.Dispose();
        _groups.Dispose();
    }

    /// <summary>Each rank rounds its part before the sum, as one device does not.</summary>
    private double Tolerance => Math.Sqrt(_groups.Ranks.Members.Count);

    private void OnRanks(Action<int> work) => RankThreads.Run(_groups.Ranks, work);

    private bool ReadAndCompare(int tokens)
    {
        int rows = LayerRank.Forwards * tokens;
        bool areEqual = true;
        for (int rank = _ranks.Count - 1; rank >= 1; rank--)
        {
            _ranks[rank].Read(tokens, _tensors.Other, _tensors.Ids);
            _ranks[0].Read(tokens, _tensors.Output, _tensors.Ids);
            areEqual &= _tensors.AreEqual(rows);
        }

        return areEqual;
    }
}
