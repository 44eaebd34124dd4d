using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Moe.Plugins;

/// <summary>The processes of a trial: the child, and whatever the plugin starts there. They hear no Ctrl+C, and end with the child or its parent.</summary>
internal static partial class TrialProcessGroup
{
    private const int Kill = 9;

    /// <summary>What is killed ends at once, if this process hears of it.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>Makes this process the head of a group of its own, which ends when <paramref name="parent"/>, a pipe from the parent, does.</summary>
    public static void Begin(Stream parent)
    {
        if (!OperatingSystem.IsWindows())
        {
            _ = setpgid(0, 0);
        }

        if (OperatingSystem.IsLinux())
        {
            // prctl(2), PR_SET_PDEATHSIG: also where no managed thread can run any more.
            _ = prctl(1, Kill, 0, 0, 0);
        }

        new Thread(() =>
        {
            byte[] nothing = new byte[1];
            try
            {
                while (parent.Read(nothing) > 0)
                {
                }
            }
            catch (IOException)
            {
            }

            End();
        })
        {
            IsBackground = true,
            Name = "Moe.Plugins trial, the parent",
        }.Start();
    }

    /// <summary>Ends this process and all of its group, at once: no exit handler of the plugin's runs.</summary>
    public static void End()
    {
        if (!OperatingSystem.IsWindows())
        {
            _ = kill(0, Kill);
        }

        Process.GetCurrentProcess().Kill();
    }

    /// <summary>Ends a child that does not end by itself, with its group.</summary>
    public static void End(Process child)
    {
        if (!OperatingSystem.IsWindows())
        {
            _ = kill(-child.Id, Kill);
        }

        child.Kill(entireProcessTree: true);
        child.WaitForExit(Patience);
    }

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int setpgid(int process, int group);

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int prctl(int option, nuint one, nuint two, nuint three, nuint four);

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int kill(int process, int signal);
}
