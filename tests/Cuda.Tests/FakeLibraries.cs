using System.Diagnostics;
using Moe.Plugins.Cuda;

namespace Cuda.Tests;

/// <summary>Libraries that stand for a driver's or a compiler's, in a folder that comes first in a process's search path.</summary>
internal sealed class FakeLibraries : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("moe-fake-cuda-").FullName;

    /// <summary>The variable that makes a process find them.</summary>
    public (string Name, string Value) SearchPath => ("LD_LIBRARY_PATH", _folder);

    /// <summary>Builds a library; skips the test where that cannot be done.</summary>
    public FakeLibraries With(string name, string code)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Libraries are found by a search path on Linux.");
        string source = Path.Combine(_folder, name + ".c");
        File.WriteAllText(source, code);
        try
        {
            using Process compiler = Process.Start("gcc", ["-shared", "-fPIC", "-o", Path.Combine(_folder, name), source]);
            compiler.WaitForExit();
            Assert.Equal(0, compiler.ExitCode);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip("There is no gcc.");
        }

        return this;
    }

    /// <summary>A driver that begins with a result, and says that it supports a version of CUDA and shows some devices.</summary>
    public FakeLibraries WithDriver(int version, int result = 0, int devices = 1) => With("libcuda.so.1", $$"""
        int cuInit(unsigned flags) { return {{result}}; }
        int cuDriverGetVersion(int* version) { *version = {{version}}; return 0; }
        int cuDeviceGetCount(int* count) { *count = {{devices}}; return 0; }
        int cuDeviceGet(int* device, int ordinal) { *device = ordinal; return ordinal < {{devices}} ? 0 : 101; }
        int cuGetErrorName(int error, const char** text) { *text = error == 803 ? "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH" : "CUDA_ERROR_OTHER"; return 0; }
        int cuGetErrorString(int error, const char** text) { *text = "system has unsupported display driver / cuda driver combination"; return 0; }
        """);

    /// <summary>The path of a library that was built.</summary>
    public string PathOf(string name) => Path.Combine(_folder, name);

    /// <summary>A compiler of a major version, which compiles nothing, in a file of its version's name or another one.</summary>
    public FakeLibraries WithNvrtc(int major, string? name = null) => With(name ?? $"libnvrtc.so.{major}", $$"""
        int nvrtcVersion(int* major, int* minor) { *major = {{major}}; *minor = 0; return 0; }
        {{string.Join('\n', NvrtcApi.Calls.Where(static call => call != nameof(NvrtcApi.nvrtcVersion)).Select(static call => $"int {call}(void) {{ return 1; }}"))}}
        """);

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
