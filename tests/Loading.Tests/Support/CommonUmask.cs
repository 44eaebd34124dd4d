using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Moe.Plugins.Tests;

/// <summary>
/// What tests write nobody else can write, whatever umask they are run with: a plugin that others can write is refused, which has tests of its
/// own.
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
