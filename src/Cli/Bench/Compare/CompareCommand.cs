using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>`moe bench compare`: what became slower from one result to the next.</summary>
internal static class CompareCommand
{
    private const string Description =
        "Compare two results, row by row. Slower by more than the spreads of both rows, or no longer right, is a regression, and the exit code is 1.";

    private static readonly Argument<string> Before = new("A.json") { Description = "The result before." };
    private static readonly Argument<string> After = new("B.json") { Description = "The result after." };

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
            throw new CommandException(ExitCode.BadInput, "the two results have no row in common; the same backend, shape, weights and tokens are expected.");
        }

        CompareTable.Write(console.Out, before, after, changes);
        return changes.Any(change => change.IsRegression) ? ExitCode.Wrong : ExitCode.Ok;
    }
}
