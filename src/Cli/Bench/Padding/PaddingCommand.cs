using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>`moe bench padding`: what a layer gains where its method needs no padding and slicing around it.</summary>
internal static class PaddingCommand
{
    private const string Description =
        "Measure what a backend saves that needs no padding: the same layer with the host padding its input and slicing its output, and without, "
        + "replayed in turns. Both must give the same bits, which are checked against float64.";

    public static Command Create(CommandConsole console)
    {
        var command = new Command("padding", Description)
        {
            PaddingSettings.Backends,
            PaddingSettings.Shapes,
            PaddingSettings.Tokens,
            CommandOptions.Device,
            CommandOptions.Seed,
            BenchOptions.Seconds,
            BenchOptions.Replays,
            BenchOptions.Output,
            PaddingSettings.Plot,
            CommandOptions.Plugins,
        };

        command.SetComputation((result, cancellationToken) => ExecuteAsync(result, console, cancellationToken));
        return command;
    }

    /// <summary>Measures with a host's backends, and shows what came of it.</summary>
    /// <returns>The exit code.</returns>
    public static int Execute(MoeHost host, BenchSettings settings, CommandConsole console, CancellationToken cancellationToken)
    {
        var run = new PaddingRun(host, settings, cancellationToken);
        PaddingResult result = Unfinished.Run(
            console,
            console.BeginProgress(),
            run.Execute,
            () => run.Result is { Rows.Count: > 0 } ? run.Result : null,
            static (measured, writer) => BenchJson.Write(writer, measured),
            static (measured, text) => PaddingTable.Write(text, measured));
        if (settings.PlotPath is not null && result.Rows.Exists(row => row.Right))
        {
            Panels.TrySave(console, () => PaddingPicture.Save(settings.PlotPath, result));
        }

        console.Write(writer => BenchJson.Write(writer, result), text => PaddingTable.Write(text, result));
        return result.Rows.TrueForAll(row => row.Right) ? ExitCode.Ok : ExitCode.Wrong;
    }

    private static async Task<int> ExecuteAsync(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        BenchSettings settings = PaddingSettings.Read(result);
        await using MoeHost host = HostFactory.Create(result, console);
        return Execute(host, settings, console, cancellationToken);
    }
}
