using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Tests;

/// <summary>Device code as a host compiler makes it, run where there is no device.</summary>
internal sealed partial class HostLibrary : IDisposable
{
    private const string Compiler = "/usr/bin/g++";

    /// <summary>The headers of instructions, which <c>host_ptx.cuh</c> stands in for.</summary>
    private static readonly string[] InstructionHeaders = ["ptx/ptx.cuh", "ptx/types.cuh", "ptx/mbarrier.cuh", "ptx/tma.cuh", "ptx/wgmma.cuh", "words.cuh"];

    private static readonly string[] ModelHeaders = ["host_ptx.cuh", "host_copies.cuh", "host_matrix.cuh", "host_products.cuh", "host_words.cuh"];

    private const string Prologue =
        """
        #include <cstring>
        #define __device__
        #define __forceinline__ static inline
        static inline unsigned __float_as_uint(float v) { unsigned bits; std::memcpy(&bits, &v, 4); return bits; }
        static inline float __uint_as_float(unsigned bits) { float v; std::memcpy(&v, &bits, 4); return v; }

        """;

    /// <summary>What has been compiled, by its texts: the compiler takes seconds, and many cases of a test need the same.</summary>
    private static readonly ConcurrentDictionary<string, Lazy<byte[]>> Compiled = new();

    private readonly DirectoryInfo _folder;
    private readonly nint _library;

    private HostLibrary(byte[] compiled)
    {
        // A file of its own, and so variables of its own: tests run at once.
        _folder = MakeFolder();
        string path = Path.Combine(_folder.FullName, "libexports.so");
        File.WriteAllBytes(path, compiled);
        _library = NativeLibrary.Load(path);
    }

    /// <summary>Compiles a header of plain arithmetic with functions that export what it has; skips the test where there is no compiler.</summary>
    public static HostLibrary Compile(string header, string exports) =>
        Compile($"{Prologue}#include \"{header}\"\n{exports}", header, folder => Write(folder, header, Source(header).Text));

    /// <summary>The same with a source of what a thread block does together, whose threads are the host's then.</summary>
    public static HostLibrary CompileBlock(string file, string exports, params IEnumerable<string> others)
    {
        string[] files = [.. others, file];
        return Compile(exports, string.Join(' ', files), folder =>
        {
            foreach (string one in files)
            {
                KernelSource source = Source(one);
                foreach (KernelHeader header in source.Headers)
                {
                    Write(folder, header.Name, WithoutDynamicShared(header.Text));
                }

                Write(folder, one, WithoutDynamicShared(source.Text));
            }

            foreach (string header in InstructionHeaders)
            {
                Write(folder, header, "#include \"host_ptx.cuh\"\n");
            }

            foreach (string header in ModelHeaders)
            {
                Write(folder, header, Source(header).Text);
            }
        });
    }

    public nint Export(string name) => NativeLibrary.GetExport(_library, name);

    /// <summary>Says that a kernel has reached beyond its launch's shared memory, where one has.</summary>
    public unsafe void Dispose()
    {
        int outside = NativeLibrary.TryGetExport(_library, "outside_accesses", out nint count) ? *(int*)count : 0;
        NativeLibrary.Free(_library);
        _folder.Delete(recursive: true);
        Assert.True(outside == 0, $"{outside} accesses beyond the launch's shared memory");
    }

    [GeneratedRegex(@"extern __shared__ (?:__align__\(\d+\) )?(char|float4) (\w+)\[\];")]
    private static partial Regex DynamicShared();

    // Dynamic shared memory has no like in C++.
    private static string WithoutDynamicShared(string text) => DynamicShared().Replace(text, "$1* $2 = ($1*)shared_memory;");

    private static KernelSource Source(string file) =>
        KernelSource.FromResources(file, typeof(HostLibrary).Assembly, typeof(KernelUnit).Assembly);

    private static DirectoryInfo MakeFolder() => Directory.CreateTempSubdirectory("host-library");

    private static void Write(DirectoryInfo folder, string file, string text)
    {
        string path = Path.Combine(folder.FullName, file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }

    private static HostLibrary Compile(string exports, string sources, Action<DirectoryInfo> write)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists(Compiler), "needs g++ on Linux, which compiles the device's code for the host");
        return new HostLibrary(Compiled.GetOrAdd($"{sources}\n{exports}", _ => new Lazy<byte[]>(() => Build(exports, write))).Value);
    }

    private static byte[] Build(string exports, Action<DirectoryInfo> write)
    {
        DirectoryInfo folder = MakeFolder();
        write(folder);
        Write(folder, "exports.cpp", exports);
        string output = Path.Combine(folder.FullName, "libexports.so");

        // Lazy: parts that no test calls call what there is not. Not unique: libraries of tests that run at once shall not share a thread block.
        // Not fortified, as some compilers do by default: jumps between the threads' stacks would count for errors.
        string[] arguments =
            ["-std=c++20", "-I.", "-O1", "-U_FORTIFY_SOURCE", "-w", "-shared", "-fPIC", "-pthread", "-fno-gnu-unique", "-Wl,-z,lazy", "-o", output, "exports.cpp"];
        using Process process = Process.Start(new ProcessStartInfo(Compiler, arguments) { WorkingDirectory = folder.FullName, RedirectStandardError = true })!;
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, errors);
        byte[] compiled = File.ReadAllBytes(output);
        folder.Delete(recursive: true);
        return compiled;
    }
}
