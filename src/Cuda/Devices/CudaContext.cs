using System.Runtime.InteropServices;

namespace Moe.Plugins.Cuda;

/// <summary>
/// A context: a device's address space, in which memory, streams and modules live. The primary context is the one that the
/// CUDA runtime and other libraries share, so their addresses and streams work here and the other way round.
/// </summary>
/// <remarks>
/// Thread-safe. What was made in a context keeps it alive, so the order of disposal does not matter. Calls that take raw
/// addresses and streams need the context to be current on the calling thread: see <see cref="MakeCurrent"/>.
/// </remarks>
public sealed unsafe class CudaContext : SafeHandle
{
    private const uint NonBlocking = 1;
    private const uint DisableTiming = 2;
    private const uint Portable = 1;
    private const int PeerAccessAlreadyEnabled = 704;
    private const uint LazyPeerAccess = 1;

    private CudaContext(CudaDevice device, nint context, bool ownsHandle)
        : base(0, ownsHandle)
    {
        Device = device;
        SetHandle(context);
    }

    /// <summary>The context's device.</summary>
    public CudaDevice Device { get; }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>The raw <c>CUcontext</c>.</summary>
    /// <exception cref="ObjectDisposedException">The context was disposed.</exception>
    public nint Handle
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed, this);
            return handle;
        }
    }

    /// <summary>Retains a device's primary context; disposing releases it.</summary>
    /// <param name="device">The device.</param>
    /// <exception cref="CudaException">The context could not be made.</exception>
    public static CudaContext RetainPrimary(CudaDevice device)
    {
        ArgumentNullException.ThrowIfNull(device);
        CudaException.ThrowIfFailed(DriverApi.cuDevicePrimaryCtxRetain(out nint context, device.Id));
        return new CudaContext(device, context, ownsHandle: true);
    }

    /// <summary>Uses a context that another library made and goes on owning.</summary>
    /// <param name="context">The raw <c>CUcontext</c>.</param>
    /// <exception cref="CudaException">It is no context.</exception>
    public static CudaContext FromHandle(nint context)
    {
        ArgumentOutOfRangeException.ThrowIfZero(context);
        CudaDriver.EnsureLoaded();
        using (new CudaContextScope(context))
        {
            CudaException.ThrowIfFailed(DriverApi.cuCtxGetDevice(out int id));
            return new CudaContext(CudaDevice.FromId(id), context, ownsHandle: false);
        }
    }

    /// <summary>Makes the context current on the calling thread until the returned scope is disposed, on the same thread.</summary>
    public CudaContextScope MakeCurrent() => new(Handle);

    /// <summary>Waits for everything enqueued in the context.</summary>
    /// <exception cref="CudaException">Something enqueued failed, or a stream of the context is being recorded, on whatever thread.</exception>
    public void Synchronize()
    {
        using CudaContextScope scope = MakeCurrent();
        CudaException.ThrowIfFailed(DriverApi.cuCtxSynchronize());
    }

    /// <summary>
    /// Makes memory of another device's context, all that was and will be allocated there, reachable for kernels of this one under the same
    /// addresses. It stays so as long as both contexts live.
    /// </summary>
    /// <param name="peer">The other context; one of the same device is reachable anyway.</param>
    /// <exception cref="CudaException">The devices have no way to each other, or have too many peers already.</exception>
    public void EnablePeerAccess(CudaContext peer)
    {
        ArgumentNullException.ThrowIfNull(peer);
        if (peer.Device.Id == Device.Id)
        {
            return;
        }

        using CudaContextScope scope = MakeCurrent();
        int result = DriverApi.cuCtxEnablePeerAccess(peer.Handle, 0);
        if (result is not (0 or PeerAccessAlreadyEnabled))
        {
            throw CudaException.FromDriver(
                result, nameof(DriverApi.cuCtxEnablePeerAccess), $"Device {Device.Ordinal} was to reach the memory of device {peer.Device.Ordinal}.");
        }
    }

    /// <summary>Makes memory of another process reachable for kernels of this context, whichever of this machine's devices it is on.</summary>
    /// <param name="exported">What <see cref="CudaMemory.Export"/> returned in that process.</param>
    /// <exception cref="ArgumentException">They are no such bytes.</exception>
    /// <exception cref="CudaException">The devices have no way to each other, the process has ended, or is this one.</exception>
    public CudaPeerMemory OpenPeerMemory(ReadOnlySpan<byte> exported)
    {
        if (exported.Length != CuIpcMemHandle.ByteCount)
        {
            throw new ArgumentException($"{exported.Length} bytes name no memory; {CuIpcMemHandle.ByteCount} are expected.", nameof(exported));
        }

        CuIpcMemHandle memory;
        exported.CopyTo(new Span<byte>(memory.Bytes, CuIpcMemHandle.ByteCount));
        using CudaContextScope scope = MakeCurrent();
        CudaException.ThrowIfFailed(DriverApi.cuIpcOpenMemHandle_v2(out nint address, memory, LazyPeerAccess));
        return new CudaPeerMemory(this, address);
    }

    /// <summary>The bytes of device memory that are free now, whoever uses the rest.</summary>
    public long GetFreeMemory()
    {
        using CudaContextScope scope = MakeCurrent();
        CudaException.ThrowIfFailed(DriverApi.cuMemGetInfo_v2(out nuint free, out _));
        return checked((long)free);
    }

    /// <summary>Allocates device memory, aligned to 256 bytes at least. It is not cleared.</summary>
    /// <param name="byteCount">The size in bytes, above 0.</param>
    /// <exception cref="CudaException">There is not enough memory; the message says how much is free.</exception>
    public CudaDeviceMemory Allocate(long byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(byteCount);
        using CudaContextScope scope = MakeCurrent();
        return new CudaDeviceMemory(this, CudaMemory.Allocate(byteCount), byteCount);
    }

    /// <summary>Allocates pinned host memory, to and from which copies run beside the host's own work. It is not cleared.</summary>
    /// <param name="byteCount">The size in bytes, above 0.</param>
    /// <exception cref="CudaException">There is not enough memory.</exception>
    public CudaHostMemory AllocateHost(long byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(byteCount);
        using CudaContextScope scope = MakeCurrent();
        CudaException.ThrowIfFailed(DriverApi.cuMemHostAlloc(out nint address, (nuint)byteCount, Portable));
        return new CudaHostMemory(this, address, byteCount);
    }

    /// <summary>Makes a stream that does not wait for the default stream.</summary>
    /// <param name="priority">0 is the default; lower numbers go first, as far as the device tells them apart.</param>
    public CudaStream CreateStream(int priority = 0)
    {
        using CudaContextScope scope = MakeCurrent();
        CudaException.ThrowIfFailed(DriverApi.cuStreamCreateWithPriority(out nint stream, NonBlocking, priority));
        return new CudaStream(this, stream, ownsHandle: true);
    }

    /// <summary>Uses a stream that another library made in this context and goes on owning. 0 is the default stream.</summary>
    /// <param name="stream">The raw <c>CUstream</c>.</param>
    public CudaStream UseStream(nint stream) => new(this, stream, ownsHandle: false);

    /// <summary>Makes an event.</summary>
    /// <param name="timing">Whether it records the time; without it, recording and waiting are cheaper.</param>
    public CudaEvent CreateEvent(bool timing = true)
    {
        using CudaContextScope scope = MakeCurrent();
        CudaException.ThrowIfFailed(DriverApi.cuEventCreate(out nint created, timing ? 0 : DisableTiming));
        return new CudaEvent(this, created);
    }

    /// <summary>Loads a module from a cubin, a fatbin or PTX.</summary>
    /// <param name="image">The image; the driver copies it.</param>
    /// <exception cref="CudaException">The image is not for this device, or damaged.</exception>
    public CudaModule LoadModule(ReadOnlySpan<byte> image)
    {
        ArgumentOutOfRangeException.ThrowIfZero(image.Length);
        using CudaContextScope scope = MakeCurrent();
        fixed (byte* pointer = image)
        {
            int result = DriverApi.cuModuleLoadData(out nint module, pointer);
            return result == 0
                ? new CudaModule(this, module)
                : throw CudaException.FromDriver(
                    result,
                    nameof(DriverApi.cuModuleLoadData),
                    $"The device is {Device.Name}, {Device.Architecture}; its driver loads what CUDA {CudaDriver.Version / 1000} and older compile.");
        }
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => DriverApi.cuDevicePrimaryCtxRelease_v2(Device.Id) == 0;
}
