using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>`moe bench compare`: what became slower from one result to the next.</summary>
internal static class CompareCommand
{
    private const string Description =
        "Compare two results, row by row. A row that became slower by more than both spreads, or wrong, is a regression, and the exit code is 1.";

    private static readonly Argument<string> Before = CommandOptions.RequiredText("A.json", "The result before.");
    private static readonly Argument<string> After = CommandOptions.RequiredText("B.json", "The result after.");

    public static Command Create(CommandConsole console)
    {
        var command = new Command("compare", Description) { Before, After };
        command.SetAction(result => Execute(
            BenchResult.Load(result.GetRequiredValue(Before)), BenchResult.Load(result.GetRequiredValue(After)), console));
        return command;
    }

    private static int Execute(BenchResult before, BenchResult after, CommandConsole console)
    {
        IReadOnlyList<RowChange> changes = RowChange.Between(before, after);
        if (changes.Count == 0)
        {
            throw new CommandException(ExitCode.BadInput, "The two results have no row in common: rows of the same backend, shape, weights and tokens are compared.");
        }

        console.Write(writer => CompareJson.Write(writer, before, after, changes), text => CompareTable.Write(text, before, after, changes));
        return changes.Any(change => change.IsRegression) ? ExitCode.Wrong : ExitCode.Ok;
    }
}
