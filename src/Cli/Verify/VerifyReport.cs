using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Moe.Plugins.Conformance;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>What `moe verify` found.</summary>
/// <param name="Backend">Id and version.</param>
/// <param name="Results">Of every rule that was checked.</param>
internal sealed record VerifyReport(string Backend, IReadOnlyList<ConformanceResult> Results)
{
    /// <summary>When the check began, ISO 8601 in UTC.</summary>
    public required string Date { get; init; }

    /// <summary>What the backend ran on; empty where it could not run.</summary>
    public required string Device { get; init; }

    /// <summary>How long it took.</summary>
    public required double Seconds { get; init; }

    /// <summary>Where the report for a browser is; null for nowhere.</summary>
    public required string? Html { get; init; }

    /// <summary>System, architecture and runtime that the check ran on.</summary>
    public static string Machine { get; } = string.Create(
        CultureInfo.InvariantCulture,
        $"{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture}, {Environment.ProcessorCount} processors, {RuntimeInformation.FrameworkDescription}");

    /// <summary>An outcome in a word or two, and its colour.</summary>
    public static (string Word, string Colour) Name(ConformanceOutcome outcome) => outcome switch
    {
        ConformanceOutcome.Passed => ("passed", "green"),
        ConformanceOutcome.NotSupported => ("not supported", "grey"),
        ConformanceOutcome.ExpectedFailure => ("expected failure", "yellow"),
        ConformanceOutcome.UnexpectedPass => ("unexpected pass", "red"),
        ConformanceOutcome.NotRun => ("not run", "red"),
        _ => ("FAILED", "red"),
    };

    /// <summary>One rule, and what breaks it.</summary>
    /// <param name="console">Where.</param>
    /// <param name="result">What became of the rule.</param>
    /// <param name="sameAs">The rule that had the same reason already; null where none did.</param>
    public static void WriteLine(IAnsiConsole console, ConformanceResult result, string? sameAs)
    {
        (string word, string colour) = Name(result.Outcome);
        string reason = result.Reason.Length > 0 ? $" [grey]({PlainConsole.Show(sameAs is null ? result.Reason : $"as {sameAs}")})[/]" : "";
        console.MarkupLine($"[{colour}]{word,-16}[/] {PlainConsole.Show(result.RuleId)}{reason}");
        if (result.Failures.Count == 0)
        {
            return;
        }

        console.Say($"    {result.Statement}");
        foreach (ConformanceFailure failure in result.Failures)
        {
            console.Say($"    {failure.Where}");
            console.Say($"      expected {failure.Expected}");
            console.Say($"      got      {failure.Got}");
        }

        console.Say($"    to see it again: {result.Command}");
    }

    /// <summary>The last lines.</summary>
    public void WriteSummary(IAnsiConsole console)
    {
        console.Say($"{Backend}{(Device.Length > 0 ? $" on {Device}" : "")}: {Summary()}, in {Seconds:0.0} s");
        if (Html is not null)
        {
            console.Say($"The report is in {Html}");
        }
    }

    public string Summary() => string.Join(
        ", ", Results.GroupBy(result => result.Outcome).OrderBy(group => group.Key).Select(group => $"{group.Count()} {Name(group.Key).Word}"));

    public void WriteJson(Utf8JsonWriter writer)
    {
        writer.WriteString("backend", Backend);
        writer.WriteBoolean("conforms", !Results.Any(result => result.IsFault));
        writer.WriteString("date", Date);
        writer.WriteString("machine", Machine);
        writer.WriteString("device", Device);
        writer.WriteNumber("seconds", Math.Round(Seconds, 3));
        writer.WriteString("html", Html);
        writer.WriteStartArray("rules");
        foreach (ConformanceResult result in Results)
        {
            writer.WriteStartObject();
            writer.WriteString("rule", result.RuleId);
            writer.WriteString("statement", result.Statement);
            writer.WriteString("outcome", JsonNamingPolicy.SnakeCaseLower.ConvertName(result.Outcome.ToString()));
            writer.WriteString("reason", result.Reason);
            writer.WriteString("command", result.Command);
            writer.WriteStartArray("failures");
            foreach (ConformanceFailure failure in result.Failures)
            {
                writer.WriteStartObject();
                writer.WriteString("where", failure.Where);
                writer.WriteString("expected", failure.Expected);
                writer.WriteString("got", failure.Got);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }
}
