using System.Globalization;
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

    /// <summary>Checks it.</summary>
    /// <param name="target">The backend.</param>
    /// <param name="device">Where it is to run.</param>
    /// <param name="deadline">What it may take, with all that a host does.</param>
    /// <param name="isListed">Whether the author knows it to be broken.</param>
    /// <param name="cancellationToken">Ends the check early.</param>
    public static ConformanceResult Run(VerifyTarget target, MoeDevice? device, TimeSpan deadline, bool isListed, CancellationToken cancellationToken)
    {
        // Finalizers of the plugin may hang as well as its forwards.
        var work = new Deadline<ConformanceResult>($"Moe.Plugins rule {RuleId}", () => Check(target, device));
        if (!work.TryGet(deadline, out ConformanceResult? result, cancellationToken))
        {
            string expected = string.Create(CultureInfo.InvariantCulture, $"an end within {deadline.TotalSeconds:0.###} s");
            string got = work.DescribeLate($"backend {target.Id}, under rule {RuleId},");
            result = Result(target) with { TimedOut = true, Outcome = ConformanceOutcome.Failed, Failures = [new ConformanceFailure("with a host of its own", expected, got)] };
        }

        return !isListed ? result! : result!.Outcome switch
        {
            ConformanceOutcome.Failed => result with { Outcome = ConformanceOutcome.ExpectedFailure },
            ConformanceOutcome.Passed => result with { Outcome = ConformanceOutcome.UnexpectedPass },
            _ => result,
        };
    }

    /// <summary>What is said of it where it was not run.</summary>
    public static ConformanceResult NotRun(VerifyTarget target, string reason) => Result(target) with { Outcome = ConformanceOutcome.NotRun, Reason = reason };

    private static ConformanceResult Result(VerifyTarget target) => new()
    {
        RuleId = RuleId,
        Statement = Statement,
        Outcome = ConformanceOutcome.Passed,
        Command = $"{target.Command} --rule {RuleId}",
    };

    private static ConformanceResult Check(VerifyTarget target, MoeDevice? device)
    {
        ConformanceResult result = Result(target);
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
        target.Use((backend, _) =>
        {
            context = Exercise(backend, device);
            return true;
        });
        return context;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference? Exercise(IMoeBackend backend, MoeDevice? device)
    {
        // Without a deadline of its own: all of this has one.
        ConformanceSuite.Run(new ConformanceSubject { Backend = backend, Device = device, Deadline = TimeSpan.MaxValue }, ["forward-repeats"]);
        var context = AssemblyLoadContext.GetLoadContext(backend.GetType().Assembly);
        return context is null || context == AssemblyLoadContext.Default ? null : new WeakReference(context);
    }
}
