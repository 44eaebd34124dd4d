using System.Diagnostics;
using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>Device headers of plain arithmetic as a host compiler makes them: the device's code, run where there is no device.</summary>
internal sealed class HostLibrary : IDisposable
{
    private const string Compiler = "/usr/bin/g++";

    private const string Prologue =
        """
        #include <cstring>
        #define __device__
        #define __forceinline__ static inline
        static inline unsigned __float_as_uint(float v) { unsigned bits; std::memcpy(&bits, &v, 4); return bits; }
        static inline float __uint_as_float(unsigned bits) { float v; std::memcpy(&v, &bits, 4); return v; }

        """;

    private readonly DirectoryInfo _folder;
    private readonly nint _library;

    private HostLibrary(DirectoryInfo folder, nint library)
    {
        _folder = folder;
        _library = library;
    }

    /// <summary>Compiles a header with functions that export what it has; skips the test where there is no compiler.</summary>
    public static HostLibrary Compile(string header, string exports)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists(Compiler), "needs g++ on Linux, which compiles the device's header for the host");
        DirectoryInfo folder = Directory.CreateTempSubdirectory("host-library");
        KernelSource source = KernelSource.FromResources(header, typeof(HostLibrary).Assembly);
        File.WriteAllText(Path.Combine(folder.FullName, header), source.Text);
        File.WriteAllText(Path.Combine(folder.FullName, "exports.cpp"), $"{Prologue}#include \"{header}\"\n{exports}");
        string output = Path.Combine(folder.FullName, "libexports.so");
        var start = new ProcessStartInfo(Compiler, ["-std=c++17", "-O1", "-shared", "-fPIC", "-o", output, "exports.cpp"])
        {
            WorkingDirectory = folder.FullName, RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, errors);
        return new HostLibrary(folder, NativeLibrary.Load(output));
    }

    public nint Export(string name) => NativeLibrary.GetExport(_library, name);

    public void Dispose()
    {
        NativeLibrary.Free(_library);
        _folder.Delete(recursive: true);
    }
}
