namespace Moe.Plugins.Cuda;

/// <summary>A mark in a stream: other streams and the host can wait for it, and the time between two can be read.</summary>
public sealed class CudaEvent : CudaObject
{
    private const int NotReady = 600;

    internal CudaEvent(CudaContext context, nint created)
        : base(context, created, ownsHandle: true)
    {
    }

    /// <summary>Whether the stream has passed the mark; true before the first recording.</summary>
    /// <exception cref="CudaException">Something before the mark failed.</exception>
    public bool IsComplete
    {
        get
        {
            using CudaContextScope scope = Context.MakeCurrent();
            int result = DriverApi.cuEventQuery(Handle);
            CudaException.ThrowIfFailed(result == NotReady ? 0 : result, nameof(DriverApi.cuEventQuery));
            return result == 0;
        }
    }

    /// <summary>Puts the mark behind what a stream holds now; an earlier recording is forgotten.</summary>
    /// <param name="stream">The raw <c>CUstream</c>.</param>
    public void Record(nint stream)
    {
        using CudaContextScope scope = Context.MakeCurrent();
        CudaException.ThrowIfFailed(DriverApi.cuEventRecord(Handle, stream));
    }

    /// <summary>Makes what is enqueued on a stream from now on wait for the mark. The host does not wait.</summary>
    /// <param name="stream">The raw <c>CUstream</c>; a mark that was never recorded is not waited for.</param>
    public void HoldBack(nint stream)
    {
        using CudaContextScope scope = Context.MakeCurrent();
        CudaException.ThrowIfFailed(DriverApi.cuStreamWaitEvent(stream, Handle, 0));
    }

    /// <summary>Makes the calling thread wait for the mark.</summary>
    /// <exception cref="CudaException">Something before the mark failed.</exception>
    public void Synchronize()
    {
        using CudaContextScope scope = Context.MakeCurrent();
        CudaException.ThrowIfFailed(DriverApi.cuEventSynchronize(Handle));
    }

    /// <summary>The milliseconds from an earlier event to this one, to about half a microsecond.</summary>
    /// <param name="start">The earlier event; both must have been made with timing, recorded and passed.</param>
    /// <exception cref="CudaException">One of them was not recorded, not passed, or made without timing.</exception>
    public float MillisecondsSince(CudaEvent start)
    {
        ArgumentNullException.ThrowIfNull(start);
        using CudaContextScope scope = Context.MakeCurrent();
        CudaException.ThrowIfFailed(DriverApi.cuEventElapsedTime(out float milliseconds, start.Handle, Handle));
        return milliseconds;
    }

    private protected override int Release(nint rawHandle) => DriverApi.cuEventDestroy_v2(rawHandle);
}
