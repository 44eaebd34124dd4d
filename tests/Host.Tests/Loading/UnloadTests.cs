using System.Runtime.CompilerServices;
using System.Runtime.Loader;

namespace Moe.Plugins.Tests;

/// <summary>A disposed host leaves nothing of its plugins behind.</summary>
public sealed class UnloadTests
{
    [Fact]
    public void A_plugins_context_dies_with_its_host()
    {
        using var drop = new DropFolder().With("Good");
        WeakReference context = LoadUseAndDispose(drop);
        for (int i = 0; i < 10 && context.IsAlive; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        Assert.False(context.IsAlive);
    }

    // Not inlined: a local variable of the caller would keep the context alive.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference LoadUseAndDispose(DropFolder drop)
    {
        using MoeHost host = drop.Load();
        Assert.Equal("Good", host.Explain(TinyLayer.Request).Selected!.Id);
        return new WeakReference(AssemblyLoadContext.All.Single(
            context => context.Assemblies.Any(a => a.Location.StartsWith(drop.Staging, StringComparison.Ordinal))));
    }
}
