using System.Reflection;
using System.Runtime.InteropServices;

namespace Moe.Plugins.Cuda;

/// <summary>
/// Finds the native libraries. The imports name them by words that no file has, so that only this assembly's own
/// resolver can answer: each plugin has its own copy of this assembly, hence its own resolver and its own choice.
/// </summary>
internal static class NativeLibraries
{
    internal const string Driver = "cuda-driver";
    internal const string Nvrtc = "cuda-nvrtc";
    internal const string Nvml = "cuda-nvml";
    internal const string Cublas = "cuda-cublas";
    internal const string CublasLt = "cuda-cublaslt";

    /// <summary>The oldest major version that has what kernels are compiled with.</summary>
    private const int OldestNvrtc = 12;

    private static readonly Lock Gate = new();
    private static readonly Dictionary<string, (nint Handle, string Path)> Loaded = [];
    private static bool _registered;

    private static string[] DriverNames => OperatingSystem.IsWindows() ? ["nvcuda.dll"] : ["libcuda.so.1"];

    // Newest first.
    private static (int Major, string Name)[] NvrtcNames => OperatingSystem.IsWindows()
        ? [(13, "nvrtc64_130_0.dll"), (12, "nvrtc64_120_0.dll")]
        : [(13, "libnvrtc.so.13"), (12, "libnvrtc.so.12")];

    private static string[] NvmlNames => OperatingSystem.IsWindows() ? ["nvml.dll"] : ["libnvidia-ml.so.1"];

    private static string[] CublasNames => OperatingSystem.IsWindows()
        ? ["cublas64_13.dll", "cublas64_12.dll"]
        : ["libcublas.so.13", "libcublas.so.12"];

    private static string[] CublasLtNames => OperatingSystem.IsWindows()
        ? ["cublasLt64_13.dll", "cublasLt64_12.dll"]
        : ["libcublasLt.so.13", "libcublasLt.so.12"];

    /// <summary>Makes this assembly's imports come through <see cref="TryLoad"/>.</summary>
    internal static void Register()
    {
        lock (Gate)
        {
            if (!_registered)
            {
                NativeLibrary.SetDllImportResolver(typeof(NativeLibraries).Assembly, Resolve);
                _registered = true;
            }
        }
    }

    /// <summary>Loads a library by its path, or by its sonames where no path is given. The first one loaded stays.</summary>
    /// <param name="library">One of the words that the imports use.</param>
    /// <param name="path">The file; null searches.</param>
    /// <param name="reason">A sentence that says what is missing, where the answer is false.</param>
    /// <param name="newest">The newest major version that is of use.</param>
    internal static bool TryLoad(string library, string? path, out string reason, int newest = int.MaxValue)
    {
        lock (Gate)
        {
            if (Loaded.TryGetValue(library, out (nint Handle, string Path) loaded))
            {
                bool same = path is null || path == loaded.Path;
                reason = same
                    ? ""
                    : $"'{path}' was asked for, but '{loaded.Path}' is already loaded in its place: name the path before CUDA's first use.";
                return same;
            }

            List<string> wrong = [];
            List<string> missing = [];
            foreach (string name in path is not null ? [path] : NamesOf(library, newest))
            {
                string? problem = Load(library, name, path is not null, newest, out nint handle);
                if (problem is null)
                {
                    Loaded[library] = (handle, name);
                    reason = "";
                    return true;
                }

                if (problem.Length == 0)
                {
                    missing.Add(name);
                }
                else
                {
                    wrong.Add($"'{name}' {problem}");
                }
            }

            if (missing.Count != 0)
            {
                wrong.Add($"{string.Join(" or ", missing)} was not found by the system's library search");
            }

            reason = string.Join("; ", wrong) + (path is null ? HelpWith(library, newest) : ".");
            return false;
        }
    }

    private static string? Load(string library, string name, bool isFile, int newest, out nint handle)
    {
        if (library != Nvrtc)
        {
            return NativeFile.Load(name, isFile, [], out handle);
        }

        string? problem = NativeFile.Load(name, isFile, NvrtcApi.Calls, out handle);
        problem ??= WrongVersionOf(handle, newest);
        if (problem is not null && handle != 0)
        {
            NativeLibrary.Free(handle);
            handle = 0;
        }

        if (problem is null && isFile)
        {
            LoadNvrtcBuiltins(name);
        }

        return problem;
    }

    private static unsafe string? WrongVersionOf(nint nvrtc, int newest)
    {
        // Not by the import, which would find the library only once it is kept.
        var version = (delegate* unmanaged<int*, int*, int>)NativeLibrary.GetExport(nvrtc, nameof(NvrtcApi.nvrtcVersion));
        int major = 0;
        int minor = 0;
        int result = version(&major, &minor);
        return result != 0 ? $"does not say its version (nvrtcResult {result})"
            : major < OldestNvrtc ? $"is NVRTC {major}.{minor}, and {OldestNvrtc}.0 or newer is needed"
            : major > newest ? $"is NVRTC {major}.{minor}, and the driver loads nothing that a CUDA newer than {newest} compiles"
            : null;
    }

    private static string[] NamesOf(string library, int newest) => library switch
    {
        Driver => DriverNames,
        Nvrtc => [.. NvrtcNames.Where(nvrtc => nvrtc.Major <= newest).Select(static nvrtc => nvrtc.Name)],
        Nvml => NvmlNames,
        Cublas => CublasNames,
        _ => CublasLtNames,
    };

    private static string HelpWith(string library, int newest) => library switch
    {
        Driver => ": this machine has no NVIDIA driver, or it is hidden from this process (a container needs GPU access).",
        Nvrtc => (newest < NvrtcNames[0].Major ? $" (the driver loads nothing that a CUDA newer than {newest} compiles)" : "")
            + ": install CUDA's NVRTC (package cuda-nvrtc, or nvidia-cuda-nvrtc of PyPI), add its folder to the "
            + "library search path, or name the file in the options.",
        _ => ".",
    };

    /// <summary>
    /// NVRTC opens its builtins by file name when it first compiles, and does not look beside itself. A library that is
    /// already in the process under that name is found.
    /// </summary>
    private static void LoadNvrtcBuiltins(string nvrtcPath)
    {
        string? folder = Path.GetDirectoryName(Path.GetFullPath(nvrtcPath));
        if (folder is null || !Directory.Exists(folder))
        {
            return;
        }

        string pattern = OperatingSystem.IsWindows() ? "nvrtc-builtins*.dll" : "libnvrtc-builtins.so*";
        try
        {
            foreach (string file in Directory.EnumerateFiles(folder, pattern))
            {
                _ = NativeFile.Load(file, isFile: true, needed: [], out _);
            }
        }
        catch (UnauthorizedAccessException)
        {
            // A folder whose files can be opened and not listed: NVRTC may find its builtins by the system's search.
        }
    }

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? searchPath)
    {
        if (name is not (Driver or Nvrtc or Nvml or Cublas or CublasLt))
        {
            return 0;
        }

        if (!TryLoad(name, null, out string reason))
        {
            throw CudaException.NotLoaded(name, reason);
        }

        lock (Gate)
        {
            return Loaded[name].Handle;
        }
    }
}
