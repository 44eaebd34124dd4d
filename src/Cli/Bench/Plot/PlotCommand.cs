using System.CommandLine;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>`moe bench plot`: draws a result that was measured before, perhaps on a machine without fonts.</summary>
internal static class PlotCommand
{
    private static readonly Argument<string> Result = new("RESULT.json") { Description = "What `moe bench --json` or `moe bench padding --json` wrote." };

    private static readonly Option<string?> Png = new("--png")
    {
        Description = "The picture. Default: beside the result, with the ending .png.",
        HelpName = "FILE",
    };

    public static Command Create(CommandConsole console)
    {
        var command = new Command(
            "plot",
            "Draw a result: microseconds over tokens, both logarithmic, with the floor; of `moe bench padding` the share of a layer's time that is saved.") { Result, Png, BenchOptions.Peers };
        command.SetAction(result => Execute(result, console));
        return command;
    }

    private static int Execute(ParseResult result, CommandConsole console)
    {
        string path = result.GetRequiredValue(Result);
        string png = BenchSettings.InFolder(result, Png) ?? Path.ChangeExtension(path, ".png");
        if (PaddingResult.IsIn(path))
        {
            var saved = PaddingResult.Load(path);
            RequireRight(path, saved.Rows.Exists(row => row.Right));
            PaddingPicture.Save(png, saved);
        }
        else
        {
            var measured = BenchResult.Load(path);
            RequireRight(path, measured.Rows.Exists(row => row.Right));
            string? peers = result.GetValue(BenchOptions.Peers);
            BenchPicture.Save(png, measured, peers is null ? null : PeerFigures.Load(peers));
        }

        console.Out.WriteLine(png);
        return ExitCode.Ok;
    }

    private static void RequireRight(string path, bool isThere)
    {
        if (!isThere)
        {
            throw new CommandException(ExitCode.BadInput, $"'{path}' has no row that is right; there is nothing to draw.");
        }
    }
}
