using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>
/// A stream beside the caller's, for a part of a forward that needs nothing of the others. It goes first where both have blocks to begin: what runs
/// there has few. Recordings of the caller's stream take it in.
/// </summary>
internal sealed class SideStream : IDisposable
{
    private const int GoesFirst = -1;

    private readonly CudaStream _stream;
    private readonly CudaEvent _begun;
    private readonly CudaEvent _done;

    /// <summary>Makes the stream.</summary>
    public SideStream(CudaContext context)
    {
        _stream = context.CreateStream(GoesFirst);
        _begun = context.CreateEvent(timing: false);
        _done = context.CreateEvent(timing: false);
        Handle = _stream.ToIntPtr();
    }

    /// <summary>The raw <c>CUstream</c>.</summary>
    public nint Handle { get; }

    /// <summary>What is enqueued there from now on waits for what the caller's stream holds.</summary>
    public void Begin(nint stream)
    {
        _begun.Record(stream);
        _begun.HoldBack(Handle);
    }

    /// <summary>What is enqueued on the caller's stream from now on waits for what was enqueued there.</summary>
    public void End(nint stream)
    {
        _done.Record(Handle);
        _done.HoldBack(stream);
    }

    public void Dispose()
    {
        _stream.Dispose();
        _begun.Dispose();
        _done.Dispose();
    }
}
