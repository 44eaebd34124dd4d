using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli;

/// <summary>The one rule that needs a host: what it loaded can be unloaded.</summary>
internal static class UnloadCheck
{
    public const string RuleId = "unloads";

    private const string Statement = "When the host is disposed, after a layer has run, nothing of the plugin is left.";

    private const string Suspects =
        "the plugin, still loaded. The usual suspects: a static timer or thread, a registration with a host's token or event, a thread-local, "
        + "the reflection-based JSON serializer, TypeDescriptor, an observable instrument, a GC handle, a native callback";

    private const int Collections = 20;

    public static ConformanceResult Run(VerifyTarget target, MoeDevice? device)
    {
        var result = new ConformanceResult
        {
            RuleId = RuleId,
            Statement = Statement,
            Outcome = ConformanceOutcome.Passed,
            Command = $"moe verify {target.Text} --rule {RuleId}",
        };
        WeakReference? context = LoadAndUse(target, device);
        if (context is null)
        {
            return result with { Outcome = ConformanceOutcome.NotSupported, Reason = "the plugin is part of the program" };
        }

        for (int i = 0; i < Collections && context.IsAlive; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            Thread.Sleep(i);
        }

        return context.IsAlive
            ? result with { Outcome = ConformanceOutcome.Failed, Failures = [new ConformanceFailure("after the host was disposed", "nothing", Suspects)] }
            : result;
    }

    // Of its own, so that nothing of the plugin stays on the stack.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference? LoadAndUse(VerifyTarget target, MoeDevice? device)
    {
        WeakReference? context = null;
        target.Use((backend, _) => context = Exercise(backend, device));
        return context;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference? Exercise(IMoeBackend backend, MoeDevice? device)
    {
        ConformanceSuite.Run(new ConformanceSubject { Backend = backend, Device = device }, ["forward-repeats"]);
        var context = AssemblyLoadContext.GetLoadContext(backend.GetType().Assembly);
        return context is null || context == AssemblyLoadContext.Default ? null : new WeakReference(context);
    }
}
