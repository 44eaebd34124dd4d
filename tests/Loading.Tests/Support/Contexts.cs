using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;

namespace Moe.Plugins.Tests;

/// <summary>The load contexts of a test's plugins.</summary>
internal static class Contexts
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    /// <summary>Weak references to the contexts that loaded something from a staging folder. Not inlined: no local may keep them alive.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static WeakReference[] LoadedFrom(string staging) =>
    [
        .. AssemblyLoadContext.All
            .Where(context => context.Assemblies.Any(a => a.Location.StartsWith(staging, StringComparison.Ordinal)))
            .Select(static context => new WeakReference(context)),
    ];

    /// <summary>Whether a context dies.</summary>
    public static bool Dies(WeakReference context) => Comes(() => !context.IsAlive);

    /// <summary>Whether of the contexts that loaded something from a staging folder no more than so many stay.</summary>
    public static bool FallTo(int most, string staging) => Comes(() => LoadedFrom(staging).Length <= most);

    /// <summary>Disposing and unloading end on other threads, and only when the runtime lets go of code it still means to compile better.</summary>
    private static bool Comes(Func<bool> condition)
    {
        long start = Stopwatch.GetTimestamp();
        bool isThere = condition();
        while (!isThere && Stopwatch.GetElapsedTime(start) < Patience)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            Thread.Sleep(10);
            isThere = condition();
        }

        return isThere;
    }
}
