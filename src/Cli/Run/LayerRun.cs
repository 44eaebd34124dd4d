using System.Diagnostics;

namespace Moe.Plugins.Cli;

/// <summary>Runs a layer's ranks on their backend's memory: once for the result, then again and again for the time.</summary>
internal sealed class LayerRun : IDisposable
{
    private const int WarmUps = 3;
    private const int MostForwards = 1000;

    /// <summary>Where ranks are processes, nobody can tell the others when it is enough.</summary>
    private const int ForwardsOfProcesses = 100;

    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(1);

    private readonly List<RankRun> _ranks = [];
    private readonly List<MoeBuffer> _buffers = [];
    private readonly IMoeGroup? _group;

    private LayerRun(IMoeGroup? group) => _group = group;

    /// <summary>The first rank's; the others hold the same bits.</summary>
    public MoeBuffer Output => _buffers[0];

    public MoeBuffer TopKIds => _buffers[1];

    public MoeBuffer TopKWeights => _buffers[2];

    /// <summary>Median time of one forward, from the call until the first rank's device is done.</summary>
    public double Microseconds { get; private set; }

    /// <summary>Forwards that the median is of.</summary>
    public int Forwards { get; private set; }

    /// <summary>Runs the tokens through the layer.</summary>
    /// <exception cref="MoeException">The device is out of memory or failed.</exception>
    public static LayerRun Execute(RunLayers layers, MoeTensorView tokens, MoeTensorView tokenIds, CancellationToken cancellationToken)
    {
        var run = new LayerRun(layers.Group);
        try
        {
            foreach (MoeLayer layer in layers.Ranks)
            {
                run.Add(layer, tokens, tokenIds);
            }

            run.OnAllRanks(rank => run._ranks[rank].Forward());
            run._ranks[0].CopyOut();
            run.Measure(cancellationToken);
            return run;
        }
        catch
        {
            run.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _ranks.ForEach(rank => rank.Dispose());
        _buffers.ForEach(buffer => buffer.Dispose());
    }

    private void Add(MoeLayer layer, MoeTensorView tokens, MoeTensorView tokenIds)
    {
        MoeLayerConfig config = layer.Config;
        MoeBuffer output = Own(MoeBuffer.OnHost(config.Options.OutputType, tokens.Rows, config.Shape.HiddenSize));
        MoeBuffer ids = Own(MoeBuffer.OnHost(MoeElementType.Int32, tokens.Rows, config.Shape.TopK));
        MoeBuffer weights = Own(MoeBuffer.OnHost(MoeElementType.Float32, tokens.Rows, config.Shape.TopK));
        _ranks.Add(new RankRun(layer, _group?.Members[_ranks.Count], tokens, tokenIds, output, ids, weights));
    }

    private void Measure(CancellationToken cancellationToken)
    {
        var total = Stopwatch.StartNew();
        var times = new List<double>();
        bool areProcesses = _group is { } group && group.Members.Count < group.Members[0].Count;
        int last = areProcesses ? ForwardsOfProcesses + WarmUps - 1 : int.MaxValue;
        OnAllRanks(rank =>
        {
            for (int forward = 0; forward <= Volatile.Read(ref last); forward++)
            {
                // The first rank says which forward is the last before it takes part in it: so the others know when they come out of it.
                bool isWarmUp = forward < WarmUps && (areProcesses || total.Elapsed < Budget / 4);
                if (!areProcesses && rank == 0 && (cancellationToken.IsCancellationRequested || times.Count == MostForwards - 1 || (!isWarmUp && total.Elapsed > Budget)))
                {
                    Volatile.Write(ref last, forward);
                }

                long start = Stopwatch.GetTimestamp();
                _ranks[rank].Forward();
                if (rank == 0 && !isWarmUp)
                {
                    times.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
                }
            }
        });
        cancellationToken.ThrowIfCancellationRequested();
        times.Sort();
        Microseconds = times[times.Count / 2];
        Forwards = times.Count;
    }

    /// <summary>Does something on each rank's thread, on the caller's where there is one rank.</summary>
    private void OnAllRanks(Action<int> work)
    {
        if (_group is null)
        {
            work(0);
            return;
        }

        RankThreads.Run(_group, work);
    }

    private MoeBuffer Own(MoeBuffer buffer)
    {
        _buffers.Add(buffer);
        return buffer;
    }
}
