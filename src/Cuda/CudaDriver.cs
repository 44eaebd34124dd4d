using System.Diagnostics.CodeAnalysis;

namespace Moe.Plugins.Cuda;

/// <summary>The NVIDIA driver's CUDA library (<c>libcuda.so.1</c>, <c>nvcuda.dll</c>): whether it is here, and its version.</summary>
/// <remarks>Thread-safe. The first library loaded stays for the life of this copy of the assembly.</remarks>
public static class CudaDriver
{
    /// <summary>The oldest driver that has every call used here (tensor maps and extended launches): CUDA 12.0.</summary>
    public const int MinimumVersion = 12000;

    // CUDA_ERROR_NO_DEVICE (cuda.h).
    private const int NoDevice = 100;

    private static readonly Lock Gate = new();
    private static int _version;

    /// <summary>The CUDA version that the driver supports, as 1000 × major + 10 × minor: 13000 is CUDA 13.0.</summary>
    /// <exception cref="CudaException">There is no usable driver.</exception>
    public static int Version
    {
        get
        {
            EnsureLoaded();
            return _version;
        }
    }

    /// <summary>Loads and initialises the driver where that has not happened yet.</summary>
    /// <param name="reason">A sentence that says what is missing, where the answer is false.</param>
    /// <returns>True when the driver is ready and there is at least one device.</returns>
    public static bool TryLoad([NotNullWhen(false)] out string? reason) => TryLoad(null, out reason);

    /// <summary>Loads and initialises the driver from a path where that has not happened yet.</summary>
    /// <param name="libraryPath">The library's file; null searches for it by its usual name.</param>
    /// <param name="reason">A sentence that says what is missing, where the answer is false.</param>
    /// <returns>True when the driver is ready and there is at least one device.</returns>
    public static bool TryLoad(string? libraryPath, [NotNullWhen(false)] out string? reason)
    {
        try
        {
            lock (Gate)
            {
                NativeLibraries.Register();
                if (!NativeLibraries.TryLoad(NativeLibraries.Driver, libraryPath, out string missing))
                {
                    reason = "CUDA is not available: " + missing;
                    return false;
                }

                reason = _version != 0 ? null : Initialise();
                return reason is null;
            }
        }
        catch (EntryPointNotFoundException exception)
        {
            reason = $"CUDA is not available: the driver library lacks a call that is needed ({exception.Message}).";
            return false;
        }
    }

    /// <summary>The devices that the process is confined to; null where it sees all.</summary>
    internal static string? Visible => Environment.GetEnvironmentVariable("CUDA_VISIBLE_DEVICES");

    internal static void EnsureLoaded()
    {
        if (Volatile.Read(ref _version) == 0 && !TryLoad(out string? reason))
        {
            throw CudaException.NotLoaded("cuInit", reason);
        }
    }

    private static string? Initialise()
    {
        int result = DriverApi.cuInit(0);
        if (result == NoDevice)
        {
            return ShowsNoDevice();
        }

        if (result != 0)
        {
            return "CUDA is not available: " + CudaException.FromDriver(result, nameof(DriverApi.cuInit), null).Message;
        }

        CudaException.ThrowIfFailed(DriverApi.cuDriverGetVersion(out int version));
        if (version < MinimumVersion)
        {
            return $"CUDA is not available: the driver supports CUDA {version / 1000}.{version % 1000 / 10}, and "
                + $"{MinimumVersion / 1000}.{MinimumVersion % 1000 / 10} or newer is needed.";
        }

        CudaException.ThrowIfFailed(DriverApi.cuDeviceGetCount(out int count));
        if (count == 0)
        {
            return ShowsNoDevice();
        }

        Volatile.Write(ref _version, version);
        return null;
    }

    private static string ShowsNoDevice() => "CUDA is not available: the driver is loaded but shows no device"
        + (Visible is { } visible ? $" (CUDA_VISIBLE_DEVICES is '{visible}', which hides all others)." : ".");
}
