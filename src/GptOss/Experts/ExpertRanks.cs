using System.Runtime.ExceptionServices;

namespace Moe.Plugins.GptOss;

/// <summary>The ranks that share expert layers: their group, and a thread for each but the first, which is the caller's.</summary>
internal sealed class ExpertRanks : IDisposable
{
    private readonly IMoeGroup? _group;
    private readonly Thread[] _threads;
    private readonly SemaphoreSlim[] _begin;
    private readonly SemaphoreSlim _done = new(0);
    private readonly Exception?[] _errors;
    private Action<int>? _work;

    private ExpertRanks(IMoeGroup? group, int count)
    {
        _group = group;
        _errors = new Exception?[count];
        _begin = [.. Enumerable.Range(1, count - 1).Select(_ => new SemaphoreSlim(0))];
        _threads = [.. Enumerable.Range(1, count - 1).Select(rank => new Thread(() => Serve(rank)) { IsBackground = true, Name = $"GPT-OSS rank {rank}" })];
        Array.ForEach(_threads, thread => thread.Start());
    }

    public int Count => _errors.Length;

    /// <summary>Makes the ranks, on the device that the host chooses for a layer: all on the processor, or one GPU after another.</summary>
    /// <exception cref="MoeException">No plugin makes such a group.</exception>
    public static ExpertRanks Create(IMoeHost host, MoeLayerRequest layer, GptOssOptions options)
    {
        if (options.TensorParallel == 1)
        {
            return new ExpertRanks(null, 1);
        }

        MoeDevice first = options.Device ?? host.Explain(layer).Selected?.Device ?? MoeDevice.Cpu;
        IMoeGroup group = host.CreateGroup(new MoeGroupRequest
        {
            Devices = [.. Enumerable.Range(0, options.TensorParallel).Select(rank => DeviceOf(first, rank))],
            MaxTokens = options.ChunkTokens,
            Width = layer.Shape.HiddenSize,
            ElementType = options.ActivationType,
        });
        return new ExpertRanks(group, options.TensorParallel);
    }

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
        if (_errors.FirstOrDefault(error => error is not null) is { } first)
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

    private static MoeDevice DeviceOf(MoeDevice first, int rank) => first.Kind == MoeDeviceKind.Cpu ? first : MoeDevice.Cuda(first.Ordinal + rank);

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
