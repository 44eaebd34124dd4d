using System.Text.Json;
using Moe.Plugins.Conformance;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>What `moe verify` found.</summary>
/// <param name="Backend">Id and version.</param>
/// <param name="Results">Of every rule that was checked.</param>
internal sealed record VerifyReport(string Backend, IReadOnlyList<ConformanceResult> Results)
{
    /// <summary>An outcome in a word or two, and its colour.</summary>
    public static (string Word, string Colour) Name(ConformanceOutcome outcome) => outcome switch
    {
        ConformanceOutcome.Passed => ("passed", "green"),
        ConformanceOutcome.NotSupported => ("not supported", "grey"),
        ConformanceOutcome.ExpectedFailure => ("expected failure", "yellow"),
        ConformanceOutcome.UnexpectedPass => ("unexpected pass", "red"),
        _ => ("FAILED", "red"),
    };

    /// <summary>One rule, and what breaks it.</summary>
    public static void WriteLine(IAnsiConsole console, ConformanceResult result)
    {
        (string word, string colour) = Name(result.Outcome);
        console.MarkupLine($"[{colour}]{word,-16}[/] {Markup.Escape(result.RuleId)}{(result.Reason.Length > 0 ? $" [grey]({Markup.Escape(result.Reason)})[/]" : "")}");
        if (result.Failures.Count == 0)
        {
            return;
        }

        console.WriteLine($"    {result.Statement}");
        foreach (ConformanceFailure failure in result.Failures)
        {
            console.WriteLine($"    {failure.Where}");
            console.WriteLine($"      expected {failure.Expected}");
            console.WriteLine($"      got      {failure.Got}");
        }

        console.WriteLine($"    again: {result.Command}");
    }

    /// <summary>The last line.</summary>
    public void WriteSummary(IAnsiConsole console) => console.WriteLine($"{Backend}: {Summary()}");

    public string Summary() => string.Join(
        ", ", Results.GroupBy(result => result.Outcome).OrderBy(group => group.Key).Select(group => $"{group.Count()} {Name(group.Key).Word}"));

    public void WriteJson(Utf8JsonWriter writer)
    {
        writer.WriteString("backend", Backend);
        writer.WriteBoolean("conforms", !Results.Any(result => result.IsFault));
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
