using System.Runtime.CompilerServices;

namespace Moe.Plugins.Tests;

/// <summary>A disposed host leaves nothing of its plugins behind.</summary>
public sealed class UnloadTests
{
    [Fact]
    public void A_plugins_context_dies_with_its_host()
    {
        using var drop = new DropFolder().With("Good");
        WeakReference context = LoadUseAndDispose(drop);
        Assert.True(Contexts.Dies(context));
    }

    // Not inlined: a local variable of the caller would keep the context alive.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference LoadUseAndDispose(DropFolder drop)
    {
        using MoeHost host = drop.Load();
        Assert.Equal("Good", host.Explain(TinyLayer.Request).Selected!.Id);
        return Assert.Single(Contexts.LoadedFrom(drop.Staging));
    }
}
