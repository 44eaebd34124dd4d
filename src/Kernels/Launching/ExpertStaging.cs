using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>
/// Brings one expert after the other to the device: threads read ahead into pinned memory while what they have read is copied and
/// repacked on the default stream.
/// </summary>
public sealed class ExpertStaging : DeviceArena
{
    /// <summary>Experts that are read ahead: enough threads to keep up with the copy, and some megabytes each.</summary>
    private const int Slots = 6;

    private readonly CudaHostMemory[] _host;
    private readonly CudaEvent[] _copied;
    private readonly nint _device;

    /// <summary>Makes room for the largest expert of a layer.</summary>
    /// <param name="context">The context, which must be current.</param>
    /// <param name="experts">Experts that will be read.</param>
    /// <param name="expertBytes">Bytes of the largest matrix of one, scales included.</param>
    public ExpertStaging(CudaContext context, int experts, long expertBytes)
        : base(context)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(experts);
        _device = Allocate(expertBytes);
        int slots = Math.Min(Slots, experts);
        _host = new CudaHostMemory[slots];
        _copied = new CudaEvent[slots];
        for (int slot = 0; slot < slots; slot++)
        {
            _host[slot] = context.AllocateHost(expertBytes);
            _copied[slot] = context.CreateEvent(timing: false);
        }
    }

    /// <summary>Loads all experts of a matrix.</summary>
    /// <param name="experts">Experts.</param>
    /// <param name="byteCount">Bytes that <paramref name="read"/> writes.</param>
    /// <param name="read">Reads an expert to a host address; called from several threads.</param>
    /// <param name="use">Enqueues on the default stream what an expert's bytes, at a device address, become.</param>
    /// <param name="progress">Told the number of experts that are loaded; may be null.</param>
    /// <param name="cancellationToken">Ends a long load early.</param>
    /// <exception cref="MoeException">A tensor cannot be read.</exception>
    public void Load(int experts, long byteCount, Action<int, nint> read, Action<int, nint> use, Action<int>? progress, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        ArgumentNullException.ThrowIfNull(read);
        ArgumentNullException.ThrowIfNull(use);
        var reads = new Task?[_host.Length];
        try
        {
            for (int expert = 0; expert < Math.Min(experts, reads.Length); expert++)
            {
                Begin(expert);
            }

            for (int expert = 0; expert < experts; expert++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                int slot = expert % reads.Length;
                reads[slot]!.GetAwaiter().GetResult();
                CudaMemory.Copy(_device, _host[slot].Handle, byteCount, 0);
                _copied[slot].Record(0);
                use(expert, _device);
                if (expert + reads.Length < experts)
                {
                    _copied[slot].Synchronize();
                    Begin(expert + reads.Length);
                }

                progress?.Invoke(expert + 1);
            }
        }
        finally
        {
            // Nobody may write to the pinned memory, and nothing read it, once this returns.
            Task.WaitAll([.. reads.Where(task => task is not null).Select(task => task!.ContinueWith(_ => { }, TaskScheduler.Default))], CancellationToken.None);
            Context.UseStream(0).Synchronize();
        }

        void Begin(int expert)
        {
            int slot = expert % reads.Length;
            nint address = _host[slot].Handle;
            reads[slot] = Task.Run(() => read(expert, address), CancellationToken.None);
        }
    }

    /// <summary>Loads all experts of an MXFP4 matrix: codes and, behind them, scales.</summary>
    /// <param name="experts">Experts.</param>
    /// <param name="reader">The matrix.</param>
    /// <param name="use">Enqueues on the default stream what an expert's codes and scales, at device addresses, become.</param>
    /// <param name="progress">Told the number of experts that are loaded; may be null.</param>
    /// <param name="cancellationToken">Ends a long load early.</param>
    /// <exception cref="MoeException">A tensor cannot be read.</exception>
    public void LoadMxfp4(
        int experts, MoeExpertReader reader, Action<int, nint, nint> use, Action<int>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(reader);
        ArgumentNullException.ThrowIfNull(use);
        var codeBytes = (nint)reader.ValueBytes;
        Load(
            experts,
            reader.ValueBytes + reader.ScaleBytes,
            (expert, host) =>
            {
                reader.ReadValues(expert, host);
                reader.ReadScales(expert, host + codeBytes);
            },
            (expert, device) => use(expert, device, device + codeBytes),
            progress,
            cancellationToken);
    }

    /// <inheritdoc/>
    protected override void DisposeOwn()
    {
        foreach (CudaHostMemory? memory in _host)
        {
            memory?.Dispose();
        }

        foreach (CudaEvent? copied in _copied)
        {
            copied?.Dispose();
        }
    }
}
