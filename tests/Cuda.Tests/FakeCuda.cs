using Moe.Plugins.Cuda;
using Moe.Plugins.Tests;

namespace Cuda.Tests;

/// <summary>Libraries that stand for a driver's or a compiler's.</summary>
internal static class FakeCuda
{
    /// <summary>A driver that begins with a result, and says that it supports a version of CUDA and shows some devices.</summary>
    public static FakeLibraries WithDriver(this FakeLibraries libraries, int version, int result = 0, int devices = 1) => libraries.With("libcuda.so.1", $$"""
        int cuInit(unsigned flags) { return {{result}}; }
        int cuDriverGetVersion(int* version) { *version = {{version}}; return 0; }
        int cuDeviceGetCount(int* count) { *count = {{devices}}; return 0; }
        int cuDeviceGet(int* device, int ordinal) { *device = ordinal; return ordinal < {{devices}} ? 0 : 101; }
        int cuGetErrorName(int error, const char** text) { *text = error == 803 ? "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH" : "CUDA_ERROR_OTHER"; return 0; }
        int cuGetErrorString(int error, const char** text) { *text = "system has unsupported display driver / cuda driver combination"; return 0; }
        """);

    /// <summary>A compiler of a major version, which compiles nothing, in a file of its version's name or another one.</summary>
    public static FakeLibraries WithNvrtc(this FakeLibraries libraries, int major, string? name = null) => libraries.With(name ?? $"libnvrtc.so.{major}", $$"""
        int nvrtcVersion(int* major, int* minor) { *major = {{major}}; *minor = 0; return 0; }
        {{string.Join('\n', NvrtcApi.Calls.Where(static call => call != nameof(NvrtcApi.nvrtcVersion)).Select(static call => $"int {call}(void) {{ return 1; }}"))}}
        """);
}
