using System.Runtime.InteropServices;

namespace Moe.Plugins.Cuda;

/// <summary>What the management library (NVML, part of the driver) tells about a device.</summary>
public static unsafe class CudaManagement
{
    private const int VersionLength = 80;

    /// <summary>The driver's own version, such as 580.159.04; null where NVML is not to be had.</summary>
    public static string? DriverVersion
    {
        get
        {
            byte* version = stackalloc byte[VersionLength];
            return TryStart() && NvmlApi.nvmlSystemGetDriverVersion(version, VersionLength) == 0
                ? Marshal.PtrToStringUTF8((nint)version)
                : null;
        }
    }

    /// <summary>What holds the device's clocks down right now; null where NVML is not to be had.</summary>
    /// <param name="device">The device.</param>
    public static CudaClockLimits? ReadClockLimits(CudaDevice device)
    {
        ArgumentNullException.ThrowIfNull(device);
        return TryStart()
            && NvmlApi.nvmlDeviceGetHandleByPciBusId_v2(device.PciAddress, out nint handle) == 0
            && NvmlApi.nvmlDeviceGetCurrentClocksThrottleReasons(handle, out ulong reasons) == 0
                ? (CudaClockLimits)reasons
                : null;
    }

    private static bool TryStart()
    {
        NativeLibraries.Register();
        return NativeLibraries.TryLoad(NativeLibraries.Nvml, path: null, out _) && NvmlApi.nvmlInit_v2() == 0;
    }
}
