using System.Runtime.ExceptionServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>
/// Brings weights to a device, for all layers that load there: lanes, each a thread with pinned memory, device memory and a stream, take a piece after the
/// other, whosever it is. A lane reads its piece, copies it, and has the device make of it what the kernels read; meanwhile the others do the same.
/// </summary>
/// <remarks>
/// Thread-safe. Lanes are made when they are needed, and free what they have soon after the last piece. Pinned are at most <see cref="MostLanes"/> of the largest
/// pieces, and no more than 1 GiB where two of them take less.
/// </remarks>
public sealed class WeightLanes : IDisposable
{
    /// <summary>Enough threads for a page cache to keep up with the copy.</summary>
    private const int MostLanes = 8;

    private const int FewestLanes = 2;
    private const long PinnedBytes = 1L << 30;

    /// <summary>How long a lane without work keeps its memory: longer than it waits between two layers of a model, and soon over once the last one is loaded.</summary>
    private static readonly TimeSpan Idle = TimeSpan.FromMilliseconds(500);

    private readonly Queue<(Job Job, WeightPiece Piece)> _waiting = new();
    private readonly Thread?[] _lanes = new Thread?[MostLanes];
    private readonly CudaContext _context;
    private readonly object _gate = new();
    private bool _isDisposed;

    /// <summary>Makes no lane yet.</summary>
    /// <param name="context">The device's context, which must outlive this.</param>
    internal WeightLanes(CudaContext context) => _context = context;

    /// <summary>Loads pieces behind those that are waiting already. Once this returns, or throws, nothing of theirs is read, or runs, any more.</summary>
    /// <param name="pieces">The pieces.</param>
    /// <param name="progress">Told the share of their bytes that is loaded, by one thread at a time; may be null.</param>
    /// <param name="cancellationToken">Ends a long load early.</param>
    /// <exception cref="MoeException">A tensor cannot be read, or the device is out of memory or failed.</exception>
    public void Load(IReadOnlyCollection<WeightPiece> pieces, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        ArgumentCheck.ThrowIfAnyNull(pieces);
        cancellationToken.ThrowIfCancellationRequested();
        if (pieces.Count == 0)
        {
            return;
        }

        // Lanes' streams do not wait for the default stream, on which the pieces' targets may be prepared.
        _context.UseStream(0).Synchronize();
        using var job = new Job(pieces, progress, cancellationToken);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);

            // Lanes first: where no thread can be started, nothing of this job may be waiting.
            for (int lane = 0; lane < Math.Min(LanesFor(pieces.First()), _waiting.Count + pieces.Count); lane++)
            {
                Begin(lane);
            }

            foreach (WeightPiece piece in pieces)
            {
                _waiting.Enqueue((job, piece));
            }

            Monitor.PulseAll(_gate);
        }

        job.Wait();
    }

    /// <summary>Ends the lanes; nothing may be loading.</summary>
    public void Dispose()
    {
        Thread?[] lanes;
        lock (_gate)
        {
            _isDisposed = true;
            lanes = [.. _lanes];
            Monitor.PulseAll(_gate);
        }

        Array.ForEach(lanes, lane => lane?.Join());
    }

    /// <summary>Lanes that may hold a piece at a time.</summary>
    private static int LanesFor(WeightPiece piece) => (int)Math.Clamp(PinnedBytes / Math.Max(1, piece.ByteCount), FewestLanes, MostLanes);

    private void Begin(int lane)
    {
        if (_lanes[lane] is null)
        {
            var thread = new Thread(() => Run(lane)) { IsBackground = true, Name = $"Weights to device {_context.Device.Ordinal}, {lane}" };
            thread.Start();
            _lanes[lane] = thread;
        }
    }

    private void Run(int lane)
    {
        using var room = new Room(_context);
        do
        {
            while (TryTake(lane, out Job? job, out WeightPiece? piece))
            {
                job!.Do(piece!, room);
            }

            // Before the lane ends: whoever disposes of the lanes waits for those that have not, and then the context may go.
            room.Dispose();
        }
        while (!TryEnd(lane));
    }

    /// <summary>Waits for a piece, if not for long.</summary>
    private bool TryTake(int lane, out Job? job, out WeightPiece? piece)
    {
        lock (_gate)
        {
            while (!Has(lane))
            {
                if (_isDisposed || !Monitor.Wait(_gate, Idle))
                {
                    (job, piece) = (null, null);
                    return false;
                }
            }

            (job, piece) = _waiting.Dequeue();

            // Who may not take this one may take the next.
            Monitor.PulseAll(_gate);
            return true;
        }
    }

    private bool TryEnd(int lane)
    {
        lock (_gate)
        {
            if (Has(lane))
            {
                return false;
            }

            _lanes[lane] = null;
            return true;
        }
    }

    private bool Has(int lane) => _waiting.TryPeek(out (Job, WeightPiece Piece) next) && lane < LanesFor(next.Piece);

    /// <summary>Pieces that are loaded together.</summary>
    private sealed class Job(IReadOnlyCollection<WeightPiece> pieces, IProgress<double>? progress, CancellationToken cancellationToken) : IDisposable
    {
        private readonly CountdownEvent _left = new(pieces.Count);
        private readonly double _total = pieces.Sum(piece => piece.ByteCount);
        private readonly Lock _lock = new();
        private ExceptionDispatchInfo? _failure;
        private long _loaded;

        public void Do(WeightPiece piece, Room room)
        {
            try
            {
                if (Volatile.Read(ref _failure) is null && !cancellationToken.IsCancellationRequested)
                {
                    room.Bring(piece);
                    Report(piece.ByteCount);
                }
            }
            catch (Exception exception)
            {
                Interlocked.CompareExchange(ref _failure, ExceptionDispatchInfo.Capture(exception), null);
            }
            finally
            {
                _left.Signal();
            }
        }

        public void Wait()
        {
            _left.Wait(CancellationToken.None);
            _failure?.Throw();
            cancellationToken.ThrowIfCancellationRequested();
        }

        public void Dispose() => _left.Dispose();

        private void Report(long bytes)
        {
            if (progress is not null)
            {
                lock (_lock)
                {
                    progress.Report((_loaded += bytes) / _total);
                }
            }
        }
    }

    /// <summary>What a lane has: as much as its largest piece took.</summary>
    private sealed class Room(CudaContext context) : IDisposable
    {
        private CudaHostMemory? _host;
        private CudaDeviceMemory? _device;
        private CudaStream? _stream;

        public void Bring(WeightPiece piece)
        {
            using CudaContextScope scope = context.MakeCurrent();
            Grow(piece.ByteCount);
            piece.Read(_host!.Handle);
            try
            {
                CudaMemory.Copy(_device!.Handle, _host!.Handle, piece.ByteCount, _stream!);
                piece.Use(_device.Handle, _stream!);
            }
            finally
            {
                // Nothing may read the memory when the next piece comes.
                _stream!.Synchronize();
            }
        }

        /// <summary>Frees all of it; the next piece makes it anew.</summary>
        public void Dispose()
        {
            FreeMemory();
            _stream?.Dispose();
            _stream = null;
        }

        private void FreeMemory()
        {
            _host?.Dispose();
            _device?.Dispose();
            (_host, _device) = (null, null);
        }

        private void Grow(long bytes)
        {
            _stream ??= context.CreateStream();
            if (_host is null || _host.ByteCount < bytes)
            {
                FreeMemory();
                _device = context.Allocate(bytes);
                _host = context.AllocateHost(bytes);
            }
        }
    }
}
