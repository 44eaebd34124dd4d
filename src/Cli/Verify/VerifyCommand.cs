using System.CommandLine;
using System.Diagnostics;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli;

/// <summary>`moe verify`: holds a backend against every rule of the contract.</summary>
internal static class VerifyCommand
{
    /// <summary>Its name.</summary>
    public const string Name = "verify";

    private const string Description =
        "Check a backend against every rule of the contract. For each rule that it breaks: with which layer, what was expected and what was found. "
        + "The exit code is 1 if it breaks one, and 3 if it is not there, or could run neither a layer nor a group.";

    /// <summary>The rules of layers and of groups without which nothing was run.</summary>
    private static readonly string[] NumericsRules = ["numerics", "group-sums"];

    private static readonly Argument<string> Target = CommandOptions.RequiredText(
        "PLUGIN.dll|NAME", "A plugin's DLL, in the folder of its name, or that folder, or the id of a backend in the plugins folder.");

    private static readonly Option<string[]> Rules = new("--rule") { Description = "Check only this rule; may be given several times.", HelpName = "NAME" };

    private static readonly Option<string[]> ExpectedFailures = new("--expect-failure")
    {
        Description = "A rule that the backend is known to break; may be given several times. If it keeps that rule, that is a failure.",
        HelpName = "NAME",
    };

    private static readonly Option<int?> Deadline = CommandOptions.WholeNumber(
        "--deadline",
        1,
        $"Seconds that the backend may take for one rule; what has not returned by then breaks the rule. Default: {ConformanceSubject.DefaultDeadline.TotalSeconds:0}.");

    private static readonly Option<string?> Html = CommandOptions.Text("--html", "FILE", "Write the report to this file, for a browser.");

    public static Command Create(CommandConsole console)
    {
        var command = new Command(Name, Description)
        {
            Target, CommandOptions.Device, Rules, ExpectedFailures, Deadline, CommandOptions.Seed, CommandOptions.Plugins, Html,
        };
        command.SetComputation((result, cancellationToken) => Task.FromResult(Execute(result, console, cancellationToken)));
        return command;
    }

    private static int Execute(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        var target = VerifyTarget.Parse(result.GetRequiredValue(Target), result, console);
        string[] known = [.. ConformanceSuite.Rules.Select(rule => rule.Id), UnloadCheck.RuleId];
        string[] only = Known("--rule", result.GetValue(Rules) ?? [], known);
        string[] expectedFailures = Known("--expect-failure", result.GetValue(ExpectedFailures) ?? [], known);
        int? seconds = result.GetValue(Deadline);
        TimeSpan deadline = seconds is { } given ? TimeSpan.FromSeconds(given) : ConformanceSubject.DefaultDeadline;
        target = target with { Options = seconds is null ? "" : $" {Deadline.Name} {seconds}" };
        string? html = result.GetValue(Html);
        if (html is not null)
        {
            WholeFile.Check(html);
        }

        var results = new List<ConformanceResult>();
        string[] rules = only.Length == 0 ? known : [.. known.Where(rule => only.Contains(rule, StringComparer.OrdinalIgnoreCase))];
        string[] ofKit = [.. rules.Where(IsOfKit)];
        ProgressLine progress = console.BeginProgress();
        progress.Plan(rules.Length);
        progress.Begin(rules[0]);
        var reporter = new Reporter(item =>
        {
            // What one driver lacks, nearly all rules would say.
            string? sameAs = item.Reason.Length == 0 ? null : results.Find(other => other.Reason == item.Reason)?.RuleId;
            results.Add(item);

            // At once: what comes next may end by an exception, and the thread that is left behind is there all the same.
            console.HoldsStrangers |= item.TimedOut;
            progress.Step();
            if (!console.AsJson)
            {
                progress.Clear();
                VerifyReport.WriteLine(console.Out, item, sameAs);
            }

            if (results.Count < rules.Length)
            {
                progress.Begin(rules[results.Count]);
            }
        });
        string started = RunStamp.Now();
        long start = Stopwatch.GetTimestamp();
        string device = "";
        MoeDevice? asked = result.GetValue(CommandOptions.Device);
        string name = target.Id;
        bool isInterrupted = false;
        try
        {
            name = target.Use(Check);
            if (ofKit.Length < rules.Length)
            {
                reporter.Report(results.Find(item => item.Outcome == ConformanceOutcome.NotRun) is { } notRun
                    ? UnloadCheck.NotRun(target, notRun.Reason)
                    : UnloadCheck.Run(target, asked, deadline, !Array.TrueForAll(expectedFailures, IsOfKit), cancellationToken));
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // What is known is said all the same. A thread that has not come back may be left.
            isInterrupted = true;
            console.HoldsStrangers = true;
            string interrupted = rules[results.Count];
            reporter.Report(Interrupted(interrupted, target, "interrupted"));
            results.AddRange(rules[results.Count..].Select(rule => Interrupted(rule, target, $"interrupted under {interrupted}")));
        }

        bool Check(IMoeBackend backend, MoeHost host)
        {
            device = DeviceOf(host, target.Id, asked);
            var subject = new ConformanceSubject
            {
                Backend = backend,
                Name = target.Id,
                Device = asked,
                ExpectedFailures = [.. expectedFailures.Where(IsOfKit)],
                Seed = result.GetValue(CommandOptions.Seed) ?? 1,
                Command = target.Command,
                Deadline = deadline,
            };
            if (ofKit.Length > 0)
            {
                ConformanceSuite.Run(subject, ofKit, reporter, cancellationToken);
            }

            return !results.Exists(item => item.TimedOut);
        }

        progress.Clear();
        var report = new VerifyReport(name, results)
        {
            Date = started,
            Device = device,
            Seconds = Stopwatch.GetElapsedTime(start).TotalSeconds,
            Html = html,
        };
        if (html is not null)
        {
            WholeFile.Write(html, VerifyHtml.Render(report));
        }

        console.Write(report.WriteJson, report.WriteSummary);
        if (isInterrupted)
        {
            return ExitCode.Interrupted;
        }

        if (results.Exists(item => item.IsFault))
        {
            return ExitCode.Wrong;
        }

        // That nothing was broken means little where nothing could be run.
        ConformanceResult[] numerics = [.. results.Where(item => NumericsRules.Contains(item.RuleId))];
        return numerics.Length > 0 && Array.TrueForAll(numerics, item => item.Outcome == ConformanceOutcome.NotSupported) ? ExitCode.NoBackend : ExitCode.Ok;
    }

    private static ConformanceResult Interrupted(string rule, VerifyTarget target, string reason) =>
        ConformanceSuite.Rules.FirstOrDefault(known => known.Id.Equals(rule, StringComparison.OrdinalIgnoreCase)) is not { } ofKit
            ? UnloadCheck.NotRun(target, reason)
            : new ConformanceResult
            {
                RuleId = ofKit.Id,
                Statement = ofKit.Statement,
                Outcome = ConformanceOutcome.NotRun,
                Reason = reason,
                Command = $"{target.Command} --rule {ofKit.Id}",
            };

    private static bool IsOfKit(string rule) => !rule.Equals(UnloadCheck.RuleId, StringComparison.OrdinalIgnoreCase);

    private static string DeviceOf(MoeHost host, string id, MoeDevice? asked)
    {
        var request = new MoeLayerRequest { Shape = new MoeLayerShape { ExpertCount = 4, HiddenSize = 64, IntermediateSize = 64, TopK = 2 }, Backend = id, Device = asked };
        return host.Explain(request).Selected is { } selected ? $"{selected.Device} ({selected.DeviceName})" : "";
    }

    private static string[] Known(string option, string[] names, string[] known)
    {
        if (names.FirstOrDefault(name => !known.Contains(name, StringComparer.OrdinalIgnoreCase)) is string unknown)
        {
            throw new CommandException(
                ExitCode.BadInput, $"{option} is '{PlainText.Of(unknown)}'; one of {string.Join(", ", known)} is expected.{DidYouMean.Ask(unknown, known)}");
        }

        return names;
    }

    // Not Progress<T>, which would tell in another thread and out of order.
    private sealed class Reporter(Action<ConformanceResult> tell) : IProgress<ConformanceResult>
    {
        public void Report(ConformanceResult value) => tell(value);
    }
}
