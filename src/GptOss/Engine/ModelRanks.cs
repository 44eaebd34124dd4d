using System.Runtime.ExceptionServices;

namespace Moe.Plugins.GptOss;

/// <summary>The ranks that share a model: their group, and a thread for each but the first, which is the caller's.</summary>
internal sealed class ModelRanks : IDisposable
{
    private readonly IMoeGroup? _group;
    private readonly Thread[] _threads;
    private readonly SemaphoreSlim[] _begin;
    private readonly SemaphoreSlim _done = new(0);
    private readonly Exception?[] _errors;
    private Action<int>? _work;

    private ModelRanks(RankPlan plan, IMoeGroup? group)
    {
        Plan = plan;
        _group = group;
        _errors = new Exception?[plan.Count];
        _begin = [.. Enumerable.Range(1, Count - 1).Select(_ => new SemaphoreSlim(0))];
        _threads = [.. Enumerable.Range(1, Count - 1).Select(rank => new Thread(() => Serve(rank)) { IsBackground = true, Name = $"GPT-OSS rank {rank}" })];
        Array.ForEach(_threads, thread => thread.Start());
    }

    /// <summary>Where they are, and which part each has.</summary>
    public RankPlan Plan { get; }

    public int Count => Plan.Count;

    /// <summary>Makes the ranks of a plan; a single rank needs no group.</summary>
    /// <param name="host">Makes their group.</param>
    /// <param name="plan">How many there are, and where.</param>
    /// <param name="layer">A layer that they share.</param>
    /// <param name="leastRows">Rows that the group has room for at least, whatever the layer's are.</param>
    /// <exception cref="MoeException">No plugin makes such a group.</exception>
    public static ModelRanks Create(IMoeHost host, RankPlan plan, MoeLayerRequest layer, int leastRows) => new(
        plan,
        plan.Count == 1 ? null : host.CreateGroup(new MoeGroupRequest
        {
            Devices = plan.Devices,
            MaxTokens = Math.Max(layer.Options.MaxTokens, leastRows),
            Width = layer.Shape.HiddenSize,
            ElementType = layer.Options.OutputType,
            Timeout = plan.Timeout,
        }));

    /// <summary>A rank's member of the group; null where there is one rank.</summary>
    public IMoeCommunicator? Member(int rank) => _group?.Members[rank];

    /// <summary>Does something on all ranks at once.</summary>
    public void Run(Action<int> work)
    {
        _work = work;
        Array.ForEach(_begin, begin => begin.Release());
        Do(0);
        for (int rank = 1; rank < Count; rank++)
        {
            _done.Wait();
        }

        _work = null;

        // Of a rank that failed and those that only heard of it, the one that failed.
        Exception? first = Array.Find(_errors, error => error is not null and not MoeException { Reason: MoeReason.PeerFailed })
            ?? Array.Find(_errors, error => error is not null);
        if (first is not null)
        {
            Array.Clear(_errors);
            ExceptionDispatchInfo.Throw(first);
        }
    }

    public void Dispose()
    {
        _work = null;
        Array.ForEach(_begin, begin => begin.Release());
        Array.ForEach(_threads, thread => thread.Join());
        Array.ForEach(_begin, begin => begin.Dispose());
        _done.Dispose();
        _group?.Dispose();
    }

    private void Serve(int rank)
    {
        while (true)
        {
            _begin[rank - 1].Wait();
            if (_work is null)
            {
                return;
            }

            Do(rank);
            _done.Release();
        }
    }

    private void Do(int rank)
    {
        try
        {
            _work!(rank);
        }
        catch (Exception exception)
        {
            _errors[rank] = exception;
        }
    }
}
