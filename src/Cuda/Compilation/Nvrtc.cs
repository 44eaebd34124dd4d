using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Moe.Plugins.Cuda;

/// <summary>
/// CUDA's run-time compiler (<c>libnvrtc.so.13</c>, then <c>.12</c>; <c>nvrtc64_130_0.dll</c>, then <c>120</c>). A driver loads what its own major
/// version or an older one compiled, so that where there is a driver, none newer is taken.
/// </summary>
/// <remarks>Thread-safe. The first library loaded stays for the life of this copy of the assembly.</remarks>
public static unsafe class Nvrtc
{
    /// <summary>Loads NVRTC where that has not happened yet.</summary>
    /// <param name="libraryPath">The library's file; null searches for it by its usual names.</param>
    /// <param name="reason">A sentence that says what is missing, where the answer is false.</param>
    public static bool TryLoad(string? libraryPath, [NotNullWhen(false)] out string? reason)
    {
        NativeLibraries.Register();
        int newest = CudaDriver.TryLoad(out _) ? CudaDriver.Version / 1000 : int.MaxValue;
        bool loaded = NativeLibraries.TryLoad(NativeLibraries.Nvrtc, libraryPath, out string missing, newest);
        reason = loaded ? null : "NVRTC, which compiles the kernels, is not available: " + missing;
        return loaded;
    }

    /// <summary>The version of the NVRTC that is loaded, such as 13.0; loads one where that has not happened yet.</summary>
    /// <exception cref="CudaException">There is none.</exception>
    public static Version GetVersion()
    {
        EnsureLoaded();
        ThrowIfFailed(NvrtcApi.nvrtcVersion(out int major, out int minor));
        return new Version(major, minor);
    }

    /// <summary>The architectures that it compiles for, as numbers: 80, 90, 100 …; without those that exist only with a letter.</summary>
    /// <exception cref="CudaException">There is no NVRTC.</exception>
    public static IReadOnlyList<int> GetArchitectures()
    {
        EnsureLoaded();
        ThrowIfFailed(NvrtcApi.nvrtcGetNumSupportedArchs(out int count));
        int[] architectures = new int[count];
        fixed (int* pointer = architectures)
        {
            ThrowIfFailed(NvrtcApi.nvrtcGetSupportedArchs(pointer));
        }

        return architectures;
    }

    // What is called before it is loaded would be found without a look at the driver.
    private static void EnsureLoaded()
    {
        if (!TryLoad(libraryPath: null, out string? reason))
        {
            throw CudaException.NotLoaded(NativeLibraries.Nvrtc, reason);
        }
    }

    internal static void ThrowIfFailed(int result, [CallerArgumentExpression(nameof(result))] string call = "")
    {
        if (result != 0)
        {
            throw CudaException.FromNvrtc(result, CudaException.CallName(call), null);
        }
    }
}
