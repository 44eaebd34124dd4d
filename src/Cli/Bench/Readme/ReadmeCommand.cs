using System.CommandLine;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>`moe bench readme`: writes results into a readme's own section, so that nobody types a figure.</summary>
internal static class ReadmeCommand
{
    private const string Description =
        "Write results into a readme, between its lines " + ReadmeSection.Begin + " and " + ReadmeSection.End + ".";

    private static readonly Argument<string[]> Results = new("RESULT.json")
    {
        Description = "What `moe bench --json` wrote; several follow each other.",
        Arity = ArgumentArity.OneOrMore,
    };

    private static readonly Option<string> Readme = new("--readme")
    {
        Description = "The file. Default: docs/performance.md in the current folder.",
        HelpName = "FILE",
        DefaultValueFactory = _ => Path.Combine("docs", "performance.md"),
    };

    private static readonly Option<string[]> Peers = new("--peers")
    {
        Description = "Others' figures, shown beside results of the same device; may be given several times.",
        HelpName = "FILE",
    };

    private static readonly Option<string[]> Paddings = new("--padding")
    {
        Description = "What `moe bench padding --json` wrote, shown behind the results; may be given several times.",
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
        string path = result.GetRequiredValue(Readme);
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        ResultFile[] results = [.. result.GetRequiredValue(Results).Select(file => ResultFile.Load(file, folder))];
        PeerFigures[] peers = [.. (result.GetValue(Peers) ?? []).Select(PeerFigures.Load)];
        PaddingFile[] paddings = [.. (result.GetValue(Paddings) ?? []).Select(file => PaddingFile.Load(file, folder))];
        ReadmeSection.Replace(path, PerformanceText.Write(results, peers, paddings));
        console.Out.WriteLine($"{path}: {HumanText.Count(results.Sum(measured => measured.Result.Rows.Count), "row")}");
        return ExitCode.Ok;
    }
}
