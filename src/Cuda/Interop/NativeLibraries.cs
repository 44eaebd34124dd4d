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
    /// <param name="newest">The newest major version that is of use, where a search may find several.</param>
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

            string[] names = path is not null ? [path] : NamesOf(library, newest);
            foreach (string name in names)
            {
                if (path is not null && library == Nvrtc)
                {
                    LoadNvrtcBuiltins(path);
                }

                if (NativeLibrary.TryLoad(name, out nint handle))
                {
                    Loaded[library] = (handle, name);
                    reason = "";
                    return true;
                }
            }

            reason = path is not null
                ? $"'{path}' {(File.Exists(path) ? "is no library that can be loaded here" : "does not exist")}."
                : $"{string.Join(" or ", names)} was not found by the system's library search"
                    + HelpWith(library, newest);
            return false;
        }
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
        foreach (string file in Directory.EnumerateFiles(folder, pattern))
        {
            _ = NativeLibrary.TryLoad(file, out _);
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
