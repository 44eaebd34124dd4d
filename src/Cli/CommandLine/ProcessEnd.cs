using System.Runtime.InteropServices;

namespace Moe.Plugins.Cli;

/// <summary>Ends this process where a plugin's thread may hinder that.</summary>
internal static partial class ProcessEnd
{
    /// <summary>Ends it at once: no handler runs, neither the runtime's nor a driver's, which may wait for what never comes.</summary>
    public static void Now(int exitCode)
    {
        Console.Out.Flush();
        Console.Error.Flush();
        if (OperatingSystem.IsWindows())
        {
            _ = TerminateProcess(-1, (uint)exitCode);
        }
        else
        {
            _exit(exitCode);
        }
    }

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial void _exit(int status);

    // -1 is what GetCurrentProcess returns.
    [LibraryImport("kernel32")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int TerminateProcess(nint process, uint exitCode);
}
