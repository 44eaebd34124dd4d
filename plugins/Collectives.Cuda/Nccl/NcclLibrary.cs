using System.Reflection;
using System.Runtime.InteropServices;

namespace Moe.Plugins.Collectives;

/// <summary>Finds NCCL, once, when somebody asks for it: a machine without it has groups over peer memory.</summary>
internal static class NcclLibrary
{
    /// <summary>The word that the imports use: only this resolver knows it.</summary>
    public const string Name = "nccl";

    /// <summary>2.18.0, as <c>ncclGetVersion</c> writes it: the first whose communicators take the members of <see cref="NcclConfig"/>.</summary>
    public const int OldestVersion = 21800;

    private const string File = "libnccl.so.2";

    private static readonly Lock Gate = new();
    private static nint _handle;
    private static string? _path;
    private static int _version;
    private static bool _isRegistered;

    /// <summary>Loads the library.</summary>
    /// <param name="path">The file; null searches. The first one that was loaded stays, and what was said to it.</param>
    /// <param name="setting">The key of the setting that names the file.</param>
    /// <param name="mayMulticast">Whether it is left to NCCL and its environment to use multicast over NVLink; else it is switched off.</param>
    /// <param name="version">As NCCL writes it: 22807 is 2.28.7.</param>
    /// <param name="reason">Why there is none, a sentence.</param>
    public static bool TryLoad(string? path, string setting, bool mayMulticast, out int version, out string reason)
    {
        lock (Gate)
        {
            version = 0;
            reason = "";
            if (_handle != 0)
            {
                version = _version;
                reason = path is null || path == _path ? "" : $"NCCL was asked for in '{path}', but '{_path}' is loaded already.";
                return reason.Length == 0;
            }

            if (!OperatingSystem.IsLinux())
            {
                reason = "NCCL is there for Linux only.";
                return false;
            }

            // Before it is loaded, in the environment that it reads. Multicast over NVLink has never been exercised with this plugin: whoever asks for it
            // decides. Connections are made when a communicator is, not within a graph that is being recorded.
            if (!mayMulticast)
            {
                _ = NcclApi.SetVariable("NCCL_NVLS_ENABLE", "0", 1);
            }

            _ = NcclApi.SetVariable("NCCL_RUNTIME_CONNECT", "0", 0);
            string file = path ?? File;
            if (NativeFile.Load(file, path is not null, [nameof(NcclApi.ncclGetVersion)], out nint handle) is { } problem)
            {
                reason = problem.Length == 0
                    ? $"{File} was not found by the system's library search: install NCCL (package libnccl2), or name the file in {setting}."
                    : $"{(path is null ? "" : setting + ": ")}'{file}' {problem}.";
                return false;
            }

            Register();
            _handle = handle;
            if (NcclApi.ncclGetVersion(out _version) != 0 || _version < OldestVersion)
            {
                reason = $"{file} is NCCL {Text(_version)}; {Text(OldestVersion)} or newer is needed.";
                _handle = 0;
                NativeLibrary.Free(handle);
                return false;
            }

            _path = file;
            version = _version;
            return true;
        }
    }

    /// <summary>A version as people write it.</summary>
    public static string Text(int version) => $"{version / 10000}.{version / 100 % 100}.{version % 100}";

    private static void Register()
    {
        if (!_isRegistered)
        {
            _isRegistered = true;
            NativeLibrary.SetDllImportResolver(typeof(NcclLibrary).Assembly, Resolve);
        }
    }

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? searchPath) => name == Name ? _handle : 0;
}
