using System.Globalization;
using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Collectives;

/// <summary>A rank's communicator of NCCL's. Its calls return at once; who waits, waits with a deadline.</summary>
internal sealed unsafe class NcclCommunicator
{
    private const int Success = 0;
    private const int InProgress = 7;

    private static readonly TimeSpan WaitForCall = TimeSpan.FromSeconds(1);

    private readonly object _gate = new();
    private readonly CudaContext _context;
    private readonly int _rank;
    private nint _handle;
    private bool _isAborted;

    private NcclCommunicator(CudaContext context, int rank)
    {
        _context = context;
        _rank = rank;
    }

    /// <summary>A name for a group that is about to be made, which rank 0 makes.</summary>
    public static byte[] CreateId()
    {
        NcclUniqueId id;
        Check(NcclApi.ncclGetUniqueId(&id), "ncclGetUniqueId", 0, 0);
        return new ReadOnlySpan<byte>(id.Bytes, NcclUniqueId.ByteCount).ToArray();
    }

    /// <summary>Joins the group; all ranks do so at once, each on a thread of its own.</summary>
    /// <exception cref="MoeException">NCCL refuses, or the ranks have not come in time.</exception>
    public static NcclCommunicator Join(CudaContext context, ReadOnlySpan<byte> id, int rank, MoeGroupRequest request, Func<bool> isOver)
    {
        NcclUniqueId copy;
        id.CopyTo(new Span<byte>(copy.Bytes, NcclUniqueId.ByteCount));
        NcclConfig config = NcclConfig.NonBlocking;
        var communicator = new NcclCommunicator(context, rank);
        using CudaContextScope scope = context.MakeCurrent();
        int result = NcclApi.ncclCommInitRankConfig(out communicator._handle, request.Devices.Count, copy, rank, &config);
        try
        {
            long start = request.Clock.GetTimestamp();
            communicator.Finish(result, "ncclCommInitRankConfig", () => isOver() || request.Clock.GetElapsedTime(start) > request.Timeout);
            return communicator;
        }
        catch
        {
            communicator.Abort();
            throw;
        }
    }

    /// <summary>What has failed on NCCL's own threads; null where nothing has.</summary>
    public string? FindError()
    {
        // Not while it is being freed.
        if (!Monitor.TryEnter(_gate))
        {
            return null;
        }

        try
        {
            if (_handle == 0 || NcclApi.ncclCommGetAsyncError(_handle, out int error) != Success || error is Success or InProgress)
            {
                return null;
            }

            return Describe(error, "NCCL", _handle);
        }
        finally
        {
            Monitor.Exit(_gate);
        }
    }

    /// <summary>Makes a call. The context must be current.</summary>
    /// <exception cref="MoeException">It failed, or the communicator is no more.</exception>
    public void Call<T>(string name, in T state, Func<T, nint, int> call)
    {
        lock (_gate)
        {
            if (_handle == 0 || Volatile.Read(ref _isAborted))
            {
                throw new MoeException(MoeReason.PeerFailed, $"The communicator of rank {_rank} was aborted.");
            }

            Finish(call(state, _handle), name, () => Volatile.Read(ref _isAborted));
        }
    }

    /// <summary>Lets go what waits in kernels, and frees the communicator.</summary>
    public void Abort()
    {
        // A call that waits for NCCL's own threads sees the flag, and the handle is not freed under it; one that does not return is stuck behind a
        // kernel that only this ends.
        Volatile.Write(ref _isAborted, true);
        bool isAlone = Monitor.TryEnter(_gate, WaitForCall);
        nint handle = Interlocked.Exchange(ref _handle, 0);
        if (isAlone)
        {
            Monitor.Exit(_gate);
        }

        // Whoever comes now finds no handle, and need not wait for this: NCCL waits here until the other ranks' connections are closed too.
        if (handle != 0)
        {
            using CudaContextScope scope = _context.MakeCurrent();
            _ = NcclApi.ncclCommAbort(handle);
        }
    }

    /// <summary>Frees the communicator of a group that has done its work, with the other ranks.</summary>
    public void Leave(TimeSpan timeout)
    {
        lock (_gate)
        {
            nint handle = _handle;
            if (handle == 0)
            {
                return;
            }

            using CudaContextScope scope = _context.MakeCurrent();
            long start = Environment.TickCount64;
            try
            {
                Finish(NcclApi.ncclCommFinalize(handle), "ncclCommFinalize", () => Environment.TickCount64 - start > timeout.TotalMilliseconds);
                _ = NcclApi.ncclCommDestroy(handle);
            }
            catch (MoeException)
            {
                _ = NcclApi.ncclCommAbort(handle);
            }

            _handle = 0;
        }
    }

    private void Finish(int result, string call, Func<bool> isOver)
    {
        while (result == InProgress)
        {
            if (isOver())
            {
                throw new MoeException(MoeReason.TimedOut, $"NCCL's {call} of rank {_rank} has not ended: the other ranks did not come in time, cannot be reached, or the group was aborted.");
            }

            Thread.Sleep(0);
            Check(NcclApi.ncclCommGetAsyncError(_handle, out result), "ncclCommGetAsyncError", _rank, _handle);
        }

        Check(result, call, _rank, _handle);
    }

    private static void Check(int result, string call, int rank, nint handle)
    {
        if (result != Success)
        {
            throw new MoeException(MoeReason.DeviceFailed, $"Rank {rank}: {Describe(result, call, handle)}");
        }
    }

    private static string Describe(int result, string call, nint handle)
    {
        string text = Marshal.PtrToStringUTF8(NcclApi.ncclGetErrorString(result)) ?? "";
        string last = Marshal.PtrToStringUTF8(NcclApi.ncclGetLastError(handle)) ?? "";
        return string.Create(CultureInfo.InvariantCulture, $"{call} failed: {text} ({result}).{(last.Length == 0 ? "" : $" {last.Trim()}")}");
    }
}
