using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Moe.Plugins.Cuda;

/// <summary>CUDA's run-time compiler (<c>libnvrtc.so.13</c>, then <c>.12</c>; <c>nvrtc64_130_0.dll</c>, then <c>120</c>).</summary>
/// <remarks>Thread-safe. The first library loaded stays for the life of this copy of the assembly.</remarks>
public static unsafe class Nvrtc
{
    /// <summary>Loads NVRTC where that has not happened yet.</summary>
    /// <param name="libraryPath">The library's file; null searches for it by its usual names.</param>
    /// <param name="reason">A sentence that says what is missing, where the answer is false.</param>
    public static bool TryLoad(string? libraryPath, [NotNullWhen(false)] out string? reason)
    {
        NativeLibraries.Register();
        bool loaded = NativeLibraries.TryLoad(NativeLibraries.Nvrtc, libraryPath, out string missing);
        reason = loaded ? null : "NVRTC, which compiles the kernels, is not available: " + missing;
        return loaded;
    }

    /// <summary>The version of the NVRTC that is loaded, such as 13.0; loads one where that has not happened yet.</summary>
    /// <exception cref="CudaException">There is none.</exception>
    public static Version GetVersion()
    {
        ThrowIfFailed(NvrtcApi.nvrtcVersion(out int major, out int minor));
        return new Version(major, minor);
    }

    /// <summary>The architectures that it compiles for, as numbers: 80, 90, 100 …; without those that exist only with a letter.</summary>
    /// <exception cref="CudaException">There is no NVRTC.</exception>
    public static IReadOnlyList<int> GetArchitectures()
    {
        ThrowIfFailed(NvrtcApi.nvrtcGetNumSupportedArchs(out int count));
        int[] architectures = new int[count];
        fixed (int* pointer = architectures)
        {
            ThrowIfFailed(NvrtcApi.nvrtcGetSupportedArchs(pointer));
        }

        return architectures;
    }

    internal static void ThrowIfFailed(int result, [CallerArgumentExpression(nameof(result))] string call = "")
    {
        if (result != 0)
        {
            throw CudaException.FromNvrtc(result, CudaException.CallName(call), null);
        }
    }
}
