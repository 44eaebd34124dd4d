using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Moe.Plugins.Tests;

/// <summary>
/// Tests make the files of a user whose files others cannot write, whatever the user may write whom they run as: a plugin that others can write is
/// refused, and that has tests of its own.
/// </summary>
internal static partial class CommonUmask
{
    [ModuleInitializer]
    internal static void Set()
    {
        if (!OperatingSystem.IsWindows())
        {
            _ = umask(Convert.ToUInt32("022", 8));
        }
    }

    [LibraryImport("libc")]
    private static partial uint umask(uint mask);
}
