using System.CommandLine;
using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cli;

/// <summary>`moe verify`: holds a backend against every rule of the contract.</summary>
internal static class VerifyCommand
{
    private const string Description =
        "Check a backend against every rule of the contract, and say of each that is broken with which layer, what was expected and what was found. "
        + "The exit code is 1 if one is, and 3 if no layer could be run.";

    /// <summary>The rule without which nothing was run.</summary>
    private const string NumericsRule = "numerics";

    private static readonly Argument<string> Target = new("PLUGIN.dll|NAME")
    {
        Description = "A plugin's DLL, in the folder of its name, or that folder, or the id of a backend in the plugins folder.",
    };

    private static readonly Option<string[]> Rules = new("--rule") { Description = "Check this rule alone; may be given several times.", HelpName = "NAME" };

    private static readonly Option<string[]> ExpectedFailures = new("--expect-failure")
    {
        Description = "A rule that is known to be broken; may be given several times. That it is kept after all is a failure.",
        HelpName = "NAME",
    };

    private static readonly Option<string?> Html = new("--html") { Description = "Write the report to this file, for a browser.", HelpName = "FILE" };

    public static Command Create(CommandConsole console)
    {
        var command = new Command("verify", Description)
        {
            Target, CommandOptions.Device, Rules, ExpectedFailures, CommandOptions.Seed, CommandOptions.Plugins, Html, CommandOptions.Json,
        };
        command.SetAction((result, cancellationToken) => Task.FromResult(Execute(result, console, cancellationToken)));
        return command;
    }

    private static int Execute(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        VerifyTarget target = VerifyTarget.Parse(result.GetRequiredValue(Target), result);
        string[] only = result.GetValue(Rules) ?? [];
        CheckNames("--rule", only);
        CheckNames("--expect-failure", result.GetValue(ExpectedFailures) ?? []);
        var results = new List<ConformanceResult>();
        bool toPeople = !result.GetValue(CommandOptions.Json);
        string name = target.Use((backend, _) =>
        {
            var subject = new ConformanceSubject
            {
                Backend = backend,
                Device = result.GetValue(CommandOptions.Device),
                ExpectedFailures = result.GetValue(ExpectedFailures) ?? [],
                Seed = result.GetValue(CommandOptions.Seed) ?? 1,
                Command = $"moe verify {target.Text}",
            };
            string[] rules = [.. only.Where(rule => !rule.Equals(UnloadCheck.RuleId, StringComparison.OrdinalIgnoreCase))];
            if (only.Length == 0 || rules.Length > 0)
            {
                var progress = new Reporter(item =>
                {
                    results.Add(item);
                    console.ClearProgress();
                    if (toPeople)
                    {
                        VerifyReport.WriteLine(console.Out, item);
                    }
                });
                ConformanceSuite.Run(subject, rules, progress, cancellationToken);
            }
        });
        if (only.Length == 0 || only.Contains(UnloadCheck.RuleId, StringComparer.OrdinalIgnoreCase))
        {
            results.Add(UnloadCheck.Run(target, result.GetValue(CommandOptions.Device)));
            if (toPeople)
            {
                VerifyReport.WriteLine(console.Out, results[^1]);
            }
        }

        var report = new VerifyReport(name, results);
        if (toPeople)
        {
            report.WriteSummary(console.Out);
        }
        else
        {
            JsonText.WriteObject(console.Json, report.WriteJson);
        }

        if (result.GetValue(Html) is string file)
        {
            File.WriteAllText(file, VerifyHtml.Render(report));
        }

        if (results.Exists(item => item.IsFault))
        {
            return ExitCode.Wrong;
        }

        // That nothing was broken means little where nothing could be run.
        return results.Exists(item => item is { RuleId: NumericsRule, Outcome: ConformanceOutcome.NotSupported }) ? ExitCode.NoBackend : ExitCode.Ok;
    }

    private static void CheckNames(string option, string[] names)
    {
        string[] known = [.. ConformanceSuite.Rules.Select(rule => rule.Id), UnloadCheck.RuleId];
        if (names.FirstOrDefault(name => !known.Contains(name, StringComparer.OrdinalIgnoreCase)) is string unknown)
        {
            throw new CommandException(ExitCode.BadInput, $"{option} is '{unknown}'; one of {string.Join(", ", known)} is expected.");
        }
    }

    // Not Progress<T>, which would tell in another thread and out of order.
    private sealed class Reporter(Action<ConformanceResult> tell) : IProgress<ConformanceResult>
    {
        public void Report(ConformanceResult value) => tell(value);
    }
}
