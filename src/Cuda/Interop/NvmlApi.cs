using System.Runtime.InteropServices;

namespace Moe.Plugins.Cuda;

/// <summary>The management library's calls. Every result is an <c>nvmlReturn_t</c>, 0 for success.</summary>
internal static unsafe partial class NvmlApi
{
    private const string Library = NativeLibraries.Nvml;

    static NvmlApi()
    {
        NativeLibraries.Register();
    }

    [LibraryImport(Library)]
    internal static partial int nvmlInit_v2();

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int nvmlDeviceGetHandleByPciBusId_v2(string pciAddress, out nint device);

    [LibraryImport(Library)]
    internal static partial int nvmlDeviceGetCurrentClocksThrottleReasons(nint device, out ulong reasons);

    [LibraryImport(Library)]
    internal static partial int nvmlSystemGetDriverVersion(byte* version, uint length);
}
