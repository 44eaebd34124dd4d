using System.Diagnostics.CodeAnalysis;

namespace Moe.Plugins.Cuda;

/// <summary>A stream: what is enqueued on it runs in order. It converts to the raw <c>CUstream</c> where one is asked for.</summary>
[SuppressMessage("Naming", "CA1711", Justification = "CUDA calls this a stream; it is no System.IO.Stream.")]
public sealed class CudaStream : CudaObject
{
    private const int NotReady = 600;
    private const uint ThreadLocalCapture = 1;

    internal CudaStream(CudaContext context, nint stream, bool ownsHandle)
        : base(context, stream, ownsHandle)
    {
    }

    // 0 is CUDA's default stream, a stream like any other.
    /// <inheritdoc/>
    public override bool IsInvalid => false;

    /// <summary>Whether everything enqueued so far has run.</summary>
    /// <exception cref="CudaException">Something enqueued failed.</exception>
    public bool IsComplete
    {
        get
        {
            using CudaContextScope scope = Context.MakeCurrent();
            int result = DriverApi.cuStreamQuery(Handle);
            CudaException.ThrowIfFailed(result == NotReady ? 0 : result, nameof(DriverApi.cuStreamQuery));
            return result == 0;
        }
    }

    /// <summary>Whether what is enqueued is being recorded into a graph instead of run.</summary>
    public bool IsCapturing
    {
        get
        {
            using CudaContextScope scope = Context.MakeCurrent();
            CudaException.ThrowIfFailed(DriverApi.cuStreamIsCapturing(Handle, out int status));
            return status != 0;
        }
    }

    /// <summary>The raw <c>CUstream</c>.</summary>
    /// <param name="stream">The stream.</param>
    public static implicit operator nint(CudaStream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return stream.Handle;
    }

    /// <summary>The raw <c>CUstream</c>.</summary>
    public nint ToIntPtr() => Handle;

    /// <summary>Makes the calling thread wait for everything enqueued so far.</summary>
    /// <exception cref="CudaException">Something enqueued failed.</exception>
    public void Synchronize()
    {
        using CudaContextScope scope = Context.MakeCurrent();
        CudaException.ThrowIfFailed(DriverApi.cuStreamSynchronize(Handle));
    }

    /// <summary>Makes what is enqueued from now on wait for an event. The host does not wait.</summary>
    /// <param name="awaited">The event, recorded on any stream; one never recorded is not waited for.</param>
    public void WaitFor(CudaEvent awaited)
    {
        ArgumentNullException.ThrowIfNull(awaited);
        awaited.HoldBack(Handle);
    }

    /// <summary>Records what an action enqueues on this stream into a graph; nothing runs yet.</summary>
    /// <param name="enqueue">Enqueues on this stream, from this thread. It must not allocate, wait, or use the default stream.</param>
    /// <returns>The graph.</returns>
    /// <exception cref="CudaException">Something in the action cannot be captured.</exception>
    public CudaGraph Capture(Action enqueue)
    {
        ArgumentNullException.ThrowIfNull(enqueue);
        using CudaContextScope scope = Context.MakeCurrent();
        CudaException.ThrowIfFailed(DriverApi.cuStreamBeginCapture_v2(Handle, ThreadLocalCapture));
        try
        {
            enqueue();
        }
        catch
        {
            // A stream left capturing would refuse all later work; the action's own error is the one to tell.
            if (DriverApi.cuStreamEndCapture(Handle, out nint partial) == 0 && partial != 0)
            {
                _ = DriverApi.cuGraphDestroy(partial);
            }

            throw;
        }

        CudaException.ThrowIfFailed(DriverApi.cuStreamEndCapture(Handle, out nint graph));
        return new CudaGraph(Context, graph);
    }

    private protected override int Release(nint rawHandle) => DriverApi.cuStreamDestroy_v2(rawHandle);
}
