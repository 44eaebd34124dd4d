using System.Collections.Concurrent;
using System.Text;

namespace Moe.Plugins.Cuda;

/// <summary>What the driver tells about one device. Immutable and thread-safe.</summary>
public sealed unsafe class CudaDevice
{
    /// <summary>Those that were asked for: some of what the driver tells takes it milliseconds.</summary>
    private static readonly ConcurrentDictionary<int, CudaDevice> Known = new();

    private CudaDevice(int ordinal, int id)
    {
        Ordinal = ordinal;
        Id = id;

        byte* name = stackalloc byte[256];
        CudaException.ThrowIfFailed(DriverApi.cuDeviceGetName(name, 256, id));
        Name = Encoding.UTF8.GetString(System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name));

        CudaException.ThrowIfFailed(DriverApi.cuDeviceTotalMem_v2(out nuint bytes, id));
        MemoryBytes = checked((long)bytes);
        Architecture = new CudaArchitecture(Read(DeviceAttribute.ComputeCapabilityMajor), Read(DeviceAttribute.ComputeCapabilityMinor));
        MultiprocessorCount = Read(DeviceAttribute.MultiprocessorCount);
        MaxThreadsPerBlock = Read(DeviceAttribute.MaxThreadsPerBlock);
        L2CacheBytes = Read(DeviceAttribute.L2CacheSize);
        MaxSharedBytesPerBlock = Read(DeviceAttribute.MaxSharedMemoryPerBlockOptIn);
        MaxSharedBytesPerMultiprocessor = Read(DeviceAttribute.MaxSharedMemoryPerMultiprocessor);
        ClockKilohertz = Read(DeviceAttribute.ClockRate);
        MemoryClockKilohertz = Read(DeviceAttribute.MemoryClockRate);
        MemoryBusBits = Read(DeviceAttribute.GlobalMemoryBusWidth);
        PciAddress = $"{Read(DeviceAttribute.PciDomainId):x4}:{Read(DeviceAttribute.PciBusId):x2}:{Read(DeviceAttribute.PciDeviceId):x2}.0";
    }

    /// <summary>The number of devices that this process may see.</summary>
    /// <exception cref="CudaException">There is no usable driver.</exception>
    public static int Count
    {
        get
        {
            CudaDriver.EnsureLoaded();
            CudaException.ThrowIfFailed(DriverApi.cuDeviceGetCount(out int count));
            return count;
        }
    }

    /// <summary>The device's number among those visible to this process, from 0.</summary>
    public int Ordinal { get; }

    /// <summary>The product's name, such as "NVIDIA H100 80GB HBM3".</summary>
    public string Name { get; }

    /// <summary>The compute capability.</summary>
    public CudaArchitecture Architecture { get; }

    /// <summary>The number of streaming multiprocessors.</summary>
    public int MultiprocessorCount { get; }

    /// <summary>The most threads that a block may have.</summary>
    public int MaxThreadsPerBlock { get; }

    /// <summary>The memory in bytes, used and free.</summary>
    public long MemoryBytes { get; }

    /// <summary>The L2 cache in bytes.</summary>
    public int L2CacheBytes { get; }

    /// <summary>The most shared memory in bytes that a block may have, once its function opted in.</summary>
    public int MaxSharedBytesPerBlock { get; }

    /// <summary>The shared memory in bytes that the blocks on one multiprocessor divide.</summary>
    public int MaxSharedBytesPerMultiprocessor { get; }

    /// <summary>The multiprocessors' peak clock in kHz.</summary>
    public int ClockKilohertz { get; }

    /// <summary>The memory's peak clock in kHz.</summary>
    public int MemoryClockKilohertz { get; }

    /// <summary>The memory bus's width in bits.</summary>
    public int MemoryBusBits { get; }

    /// <summary>The PCI address: domain:bus:device.function.</summary>
    public string PciAddress { get; }

    /// <summary>The device's own number, the same in every process that sees it.</summary>
    /// <exception cref="CudaException">The driver does not say.</exception>
    public Guid ReadUuid()
    {
        byte* uuid = stackalloc byte[16];
        CudaException.ThrowIfFailed(DriverApi.cuDeviceGetUuid_v2(uuid, Id));
        return new Guid(new ReadOnlySpan<byte>(uuid, 16), bigEndian: true);
    }

    internal int Id { get; }

    /// <summary>Reads the device with a number.</summary>
    /// <param name="ordinal">The device's number among those visible, from 0.</param>
    /// <exception cref="CudaException">There is no usable driver, or no such device.</exception>
    public static CudaDevice Get(int ordinal)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(ordinal);
        int count = Count;
        int result = DriverApi.cuDeviceGet(out int id, ordinal);
        string there = (count == 1 ? "is 1, device 0" : $"are {count}, from device 0")
            + (CudaDriver.Visible is { } visible ? $" (CUDA_VISIBLE_DEVICES is '{visible}')" : "");
        return result == 0
            ? Known.GetOrAdd(ordinal, static (number, itsId) => new CudaDevice(number, itsId), id)
            : throw CudaException.FromDriver(
                result, nameof(DriverApi.cuDeviceGet), $"Device {ordinal} was asked for, and there {there}.");
    }

    /// <summary>Whether the driver says that this device can reach a peer's memory. Only bytes that arrived prove it.</summary>
    /// <param name="peer">The other device.</param>
    public bool CanAccess(CudaDevice peer)
    {
        ArgumentNullException.ThrowIfNull(peer);
        if (peer.Id == Id)
        {
            return true;
        }

        CudaException.ThrowIfFailed(DriverApi.cuDeviceCanAccessPeer(out int canAccess, Id, peer.Id));
        return canAccess != 0;
    }

    internal static CudaDevice FromId(int id) => new(id, id);

    private int Read(DeviceAttribute attribute)
    {
        CudaException.ThrowIfFailed(DriverApi.cuDeviceGetAttribute(out int value, attribute, Id));
        return value;
    }
}
