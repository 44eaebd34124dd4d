namespace Moe.Plugins.Cuda;

/// <summary>Memory of another process, as a context of this one reaches it; disposing ends that. The address is <see cref="CudaObject.Handle"/>.</summary>
public sealed class CudaPeerMemory : CudaObject
{
    internal CudaPeerMemory(CudaContext context, nint address)
        : base(context, address, ownsHandle: true)
    {
    }

    private protected override int Release(nint rawHandle) => DriverApi.cuIpcCloseMemHandle(rawHandle);
}
