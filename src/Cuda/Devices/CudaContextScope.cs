namespace Moe.Plugins.Cuda;

/// <summary>A stretch of code in which a context is current on this thread. Costs one read where it already was.</summary>
public readonly ref struct CudaContextScope
{
    private readonly bool _pushed;

    internal CudaContextScope(nint context)
    {
        CudaException.ThrowIfFailed(DriverApi.cuCtxGetCurrent(out nint current));
        if (current != context)
        {
            CudaException.ThrowIfFailed(DriverApi.cuCtxPushCurrent_v2(context));
            _pushed = true;
        }
    }

    /// <summary>Makes the context current that was so before.</summary>
    public void Dispose()
    {
        if (_pushed)
        {
            CudaException.ThrowIfFailed(DriverApi.cuCtxPopCurrent_v2(out _));
        }
    }
}
