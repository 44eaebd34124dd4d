using System.Runtime.CompilerServices;
using System.Runtime.Loader;

namespace Moe.Plugins.Tests;

/// <summary>The load contexts of a test's plugins.</summary>
internal static class Contexts
{
    /// <summary>Weak references to the contexts that loaded something from a staging folder. Not inlined: no local may keep them alive.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static WeakReference[] LoadedFrom(string staging) =>
    [
        .. AssemblyLoadContext.All
            .Where(context => context.Assemblies.Any(a => a.Location.StartsWith(staging, StringComparison.Ordinal)))
            .Select(static context => new WeakReference(context)),
    ];

    /// <summary>Whether a context dies; disposing and unloading end on other threads, so it may take a moment.</summary>
    public static bool Dies(WeakReference context)
    {
        for (int i = 0; i < 100 && context.IsAlive; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            Thread.Sleep(10);
        }

        return !context.IsAlive;
    }
}
