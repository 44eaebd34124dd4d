using System.CommandLine;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>`moe backends`: what lies in the plugin folders, and what each backend would make of a layer.</summary>
internal static class BackendsCommand
{
    private const string Description =
        "List the backends: version, path, how they pad, their two capabilities, and whether they can run a layer here or why not. "
        + "The layer is one of gpt-oss-20b unless --shape gives another.";

    public static Command Create(CommandConsole console)
    {
        var command = new Command("backends", Description)
        {
            CommandOptions.Explain,
            CommandOptions.Shape,
            CommandOptions.Plugins,
            CommandOptions.Watch,
        };
        command.SetComputation((result, cancellationToken) => ExecuteAsync(result, console, cancellationToken));
        return command;
    }

    private static async Task<int> ExecuteAsync(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        MoeLayerShape shape = result.GetValue(CommandOptions.Shape) ?? MoeLayerShape.GptOss20B;
        int? seconds = result.GetValue(CommandOptions.Watch);
        console.AsLines = seconds is not null;
        await using MoeHost host = HostFactory.Create(result, console, mayBeEmpty: true);
        var report = BackendsReport.Create(host, shape);
        console.Write(report.WriteJson, text => report.WriteText(text, result.GetValue(CommandOptions.Explain)));
        if (seconds is not null)
        {
            console.Error.Say($"Looking every {seconds} s for what changed; Ctrl+C ends it.");
            await BackendsWatch.RunAsync(host, console, TimeSpan.FromSeconds(seconds.Value), cancellationToken);
        }

        return ExitCode.Ok;
    }
}
