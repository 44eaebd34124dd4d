namespace Moe.Plugins.Cuda;

/// <summary>Code loaded into a context.</summary>
public sealed class CudaModule : CudaObject
{
    internal CudaModule(CudaContext context, nint module)
        : base(context, module, ownsHandle: true)
    {
    }

    /// <summary>Finds a kernel.</summary>
    /// <param name="name">
    /// Its name in the image: plain for <c>extern "C"</c>, else lowered (<see cref="KernelImage.GetLoweredName"/>).
    /// </param>
    /// <exception cref="CudaException">There is no such kernel.</exception>
    public CudaFunction GetFunction(string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        using CudaContextScope scope = Context.MakeCurrent();
        int result = DriverApi.cuModuleGetFunction(out nint function, Handle, name);
        return result == 0
            ? new CudaFunction(this, function, name)
            : throw CudaException.FromDriver(result, nameof(DriverApi.cuModuleGetFunction), $"The kernel asked for is '{name}'.");
    }

    /// <summary>Finds a <c>__device__</c> or <c>__constant__</c> variable.</summary>
    /// <param name="name">Its name in the image.</param>
    /// <returns>Its device address, good while the module is loaded, and its size in bytes.</returns>
    /// <exception cref="CudaException">There is no such variable.</exception>
    public (nint Address, long ByteCount) GetGlobal(string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        using CudaContextScope scope = Context.MakeCurrent();
        int result = DriverApi.cuModuleGetGlobal_v2(out nint address, out nuint bytes, Handle, name);
        return result == 0
            ? (address, checked((long)bytes))
            : throw CudaException.FromDriver(result, nameof(DriverApi.cuModuleGetGlobal_v2), $"The variable asked for is '{name}'.");
    }

    private protected override int Release(nint rawHandle) => DriverApi.cuModuleUnload(rawHandle);
}
