using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>`moe bench plot`: draws a result that was measured before, perhaps on a machine without fonts.</summary>
internal static class PlotCommand
{
    private static readonly Argument<string> Result = CommandOptions.RequiredText(
        "RESULT.json", "What `moe bench`, `moe bench padding`, `moe bench parallel` or `moe bench model` wrote with --output.");

    private static readonly Option<string?> Picture = CommandOptions.Text(
        "--output", "FILE.png", "The picture. Default: beside the result, with the ending .png.");

    public static Command Create(CommandConsole console)
    {
        var command = new Command(
            "plot",
            "Draw a result: microseconds over tokens, both logarithmic, with the floor; for `moe bench padding` and `moe bench parallel`, the share of a "
            + "layer's time that is saved; for `moe bench model`, tokens per second.") { Result, Picture, BenchOptions.Peers };
        command.SetAction(result => Execute(result, console));
        return command;
    }

    private static int Execute(ParseResult result, CommandConsole console)
    {
        string path = result.GetRequiredValue(Result);
        string png = BenchSettings.Writable(result, Picture) ?? Path.ChangeExtension(path, ".png");
        if (ParallelResult.IsIn(path))
        {
            var layers = ParallelResult.Load(path);
            RequireRight(path, layers.Layers.Exists(row => row.Right));
            ParallelPicture.Save(png, layers);
        }
        else if (ExperimentResult.IsIn(path))
        {
            var ways = ExperimentResult.Load(path);
            RequireRight(path, ways.Steps.Count > 0);
            ExperimentPicture.Save(png, ways);
        }
        else if (ModelBenchResult.IsIn(path))
        {
            var rates = ModelBenchResult.Load(path);
            RequireRight(path, rates.Rows.Count > 0);
            ModelBenchPicture.Save(png, rates, result.GetValue(BenchOptions.Peers) is string others ? ModelPeers.Load(others) : null);
        }
        else if (PaddingResult.IsIn(path))
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

        console.Write(writer => writer.WriteString("output", png), text => text.Say($"{png}"));
        return ExitCode.Ok;
    }

    private static void RequireRight(string path, bool isThere)
    {
        if (!isThere)
        {
            throw new CommandException(ExitCode.BadInput, $"'{PlainText.Of(path)}' has no row that is right, so there is nothing to draw.");
        }
    }
}
