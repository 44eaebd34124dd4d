using System.Diagnostics;
using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Sm100.Tests;

/// <summary><c>mxfp8_rule.cuh</c> as a host compiler makes it: the device's arithmetic, run where there is no device.</summary>
internal sealed unsafe class HostRule : IDisposable
{
    private const string Shim =
        """
        #include <cstring>
        #define __device__
        #define __forceinline__ static inline
        static inline unsigned __float_as_uint(float v) { unsigned bits; std::memcpy(&bits, &v, 4); return bits; }
        static inline float __uint_as_float(unsigned bits) { float v; std::memcpy(&v, &bits, 4); return v; }
        #include "mxfp8_rule.cuh"
        extern "C" unsigned scale_of(unsigned amax) { return mxfp8_scale(amax); }
        extern "C" float multiplier_of(unsigned scale) { return mxfp8_multiplier(scale); }
        extern "C" unsigned code_of(float value) { return e4m3_from_float(value); }
        """;

    private readonly DirectoryInfo _folder;
    private readonly nint _library;

    private HostRule(DirectoryInfo folder, nint library)
    {
        _folder = folder;
        _library = library;
        Scale = (delegate* unmanaged<uint, uint>)NativeLibrary.GetExport(library, "scale_of");
        Multiplier = (delegate* unmanaged<uint, float>)NativeLibrary.GetExport(library, "multiplier_of");
        Code = (delegate* unmanaged<float, uint>)NativeLibrary.GetExport(library, "code_of");
    }

    public delegate* unmanaged<uint, uint> Scale { get; }

    public delegate* unmanaged<uint, float> Multiplier { get; }

    public delegate* unmanaged<float, uint> Code { get; }

    /// <summary>Compiles the rule; skips the test where there is no compiler.</summary>
    public static HostRule Compile()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists("/usr/bin/g++"), "needs g++ on Linux, which compiles the device's header for the host");
        DirectoryInfo folder = Directory.CreateTempSubdirectory("mxfp8-rule");
        KernelSource rule = KernelSource.FromResources("mxfp8_rule.cuh", typeof(HostRule).Assembly);
        File.WriteAllText(Path.Combine(folder.FullName, rule.Name), rule.Text);
        File.WriteAllText(Path.Combine(folder.FullName, "rule.cpp"), Shim);
        string output = Path.Combine(folder.FullName, "librule.so");
        var start = new ProcessStartInfo("/usr/bin/g++", ["-std=c++17", "-O1", "-shared", "-fPIC", "-o", output, "rule.cpp"])
        {
            WorkingDirectory = folder.FullName, RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, errors);
        return new HostRule(folder, NativeLibrary.Load(output));
    }

    public void Dispose()
    {
        NativeLibrary.Free(_library);
        _folder.Delete(recursive: true);
    }
}
