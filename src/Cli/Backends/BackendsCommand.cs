using System.CommandLine;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>`moe backends`: what lies in the plugin folders, and what each backend would make of a layer.</summary>
internal static class BackendsCommand
{
    private const string Description =
        "List the backends: version, path, how they pad, their two capabilities, and whether they can run a layer here or why not. "
        + "The layer is gpt-oss-20b unless --shape names another.";

    public static Command Create(CommandConsole console)
    {
        var command = new Command("backends", Description)
        {
            CommandOptions.Explain,
            CommandOptions.Shape,
            CommandOptions.Plugins,
            CommandOptions.Json,
            CommandOptions.Watch,
        };
        command.SetAction((result, cancellationToken) => ExecuteAsync(result, console, cancellationToken));
        return command;
    }

    private static async Task<int> ExecuteAsync(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        MoeLayerShape shape = result.GetValue(CommandOptions.Shape) ?? MoeLayerShape.GptOss20B;
        await using MoeHost host = HostFactory.Create(result);
        Write(result, console, BackendsReport.Create(host, shape));
        if (result.GetValue(CommandOptions.Watch) is int seconds)
        {
            console.Error.WriteLine($"Looking every {seconds} s for what changed; Ctrl+C ends it.");
            await BackendsWatch.RunAsync(host, console, TimeSpan.FromSeconds(seconds), result.GetValue(CommandOptions.Json), cancellationToken);
        }

        return ExitCode.Ok;
    }

    private static void Write(ParseResult result, CommandConsole console, BackendsReport report)
    {
        if (result.GetValue(CommandOptions.Json))
        {
            JsonText.WriteObject(console.Json, report.WriteJson);
        }
        else
        {
            report.WriteText(console.Out, result.GetValue(CommandOptions.Explain));
        }
    }
}
