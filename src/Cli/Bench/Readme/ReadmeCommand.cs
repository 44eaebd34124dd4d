using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>`moe bench readme`: writes results into a readme's own section, so that nobody types a figure.</summary>
internal static class ReadmeCommand
{
    private const string Description =
        "Write results into a readme, between its lines " + ReadmeSection.Begin + " and " + ReadmeSection.End + ".";

    private static readonly Argument<string[]> Results = new("RESULT.json")
    {
        Description = "Results of `moe bench --output`, in the order in which they are shown.",
        Arity = ArgumentArity.OneOrMore,
    };

    private static readonly Option<string?> Readme = CommandOptions.Text("--readme", "FILE", "The file. Default: docs/performance.md in the current folder.");

    private static readonly Option<string[]> Peers = new("--peers")
    {
        Description = "Figures of other libraries, shown beside results of the same device; may be given several times.",
        HelpName = "FILE",
    };

    private static readonly Option<string[]> Paddings = new("--padding")
    {
        Description = "Result of `moe bench padding --output`, shown after the others; may be given several times.",
        HelpName = "FILE",
    };

    public static Command Create(CommandConsole console)
    {
        var command = new Command("readme", Description) { Results, Readme, Peers, Paddings };
        command.SetAction(result => Execute(result, console));
        return command;
    }

    private static int Execute(ParseResult result, CommandConsole console)
    {
        string path = result.GetValue(Readme) ?? Path.Combine("docs", "performance.md");
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        ResultFile[] results = [.. result.GetRequiredValue(Results).Select(file => ResultFile.Load(file, folder))];
        PeerFigures[] peers = [.. (result.GetValue(Peers) ?? []).Select(PeerFigures.Load)];
        PaddingFile[] paddings = [.. (result.GetValue(Paddings) ?? []).Select(file => PaddingFile.Load(file, folder))];
        ReadmeSection.Replace(path, PerformanceText.Write(results, peers, paddings));
        int rows = results.Sum(measured => measured.Result.Rows.Count);
        console.Write(
            writer =>
            {
                writer.WriteString("readme", path);
                writer.WriteNumber("rows", rows);
            },
            text => text.Say($"{path}: {HumanText.Count(rows, "row")}"));
        return ExitCode.Ok;
    }
}
