using System.Runtime.InteropServices;

namespace Moe.Plugins.Cuda;

/// <summary>Something that lives in a context and keeps it alive.</summary>
/// <remarks>
/// A raw handle read from an object stays good only while the object is reachable and not disposed: hold on to the object.
/// </remarks>
public abstract class CudaObject : SafeHandle
{
    private protected CudaObject(CudaContext context, nint rawHandle, bool ownsHandle)
        : base(0, ownsHandle)
    {
        Context = context;
        if (ownsHandle)
        {
            bool added = false;
            context.DangerousAddRef(ref added);
        }

        SetHandle(rawHandle);
    }

    /// <summary>The context in which this lives.</summary>
    public CudaContext Context { get; }

    /// <summary>The raw handle or address.</summary>
    /// <exception cref="ObjectDisposedException">The object was disposed.</exception>
    public nint Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed, this);
            return handle;
        }
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>Gives the handle back to CUDA, with the context current.</summary>
    private protected abstract int Release(nint rawHandle);

    /// <inheritdoc/>
    protected sealed override bool ReleaseHandle()
    {
        // The finalizer's thread has no context, and a throw there would end the process: results only.
        bool released = false;
        if (DriverApi.cuCtxPushCurrent_v2(Context.DangerousGetHandle()) == 0)
        {
            released = Release(handle) == 0;
            _ = DriverApi.cuCtxPopCurrent_v2(out _);
        }

        Context.DangerousRelease();
        return released;
    }
}
