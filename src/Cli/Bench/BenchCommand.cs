using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>`moe bench`: measures a device's ceilings, then what backends make of them.</summary>
internal static class BenchCommand
{
    private const string Description =
        "Measure a device's ceilings (bandwidth and matrix rate), then each backend's whole layer (router, experts, combine) with random weights, "
        + "and compare its time with the floor that the ceilings allow. Every row is checked against float64 in the same run; a wrong one is not "
        + "timed. A throttled device is not measured.";

    public static Command Create(CommandConsole console)
    {
        var command = new Command("bench", Description)
        {
            BenchOptions.Backends,
            BenchOptions.Shapes,
            BenchOptions.Weights,
            BenchOptions.Tokens,
            BenchOptions.Routing,
            CommandOptions.Device,
            CommandOptions.Seed,
            BenchOptions.Seconds,
            BenchOptions.Replays,
            BenchOptions.Rest,
            BenchOptions.Output,
            BenchOptions.Plot,
            BenchOptions.Peers,
            CommandOptions.Plugins,
            PaddingCommand.Create(console),
            CompareCommand.Create(console),
            PlotCommand.Create(console),
            ReadmeCommand.Create(console),
            ModelBenchCommand.Create(console),
            ParallelCommand.Create(console),
        };

        command.SetComputation((result, cancellationToken) => ExecuteAsync(result, console, cancellationToken));
        return command;
    }

    /// <summary>Measures with a host's backends, and shows what came of it.</summary>
    /// <returns>The exit code.</returns>
    public static int Execute(MoeHost host, BenchSettings settings, CommandConsole console, CancellationToken cancellationToken)
    {
        var run = new BenchRun(host, settings, cancellationToken);
        BenchResult result = Unfinished.Run(
            console,
            console.BeginProgress(),
            run.Execute,
            () => run.Result,
            static (measured, writer) => BenchJson.Write(writer, measured),
            static (measured, text) => BenchTable.Write(text, measured));
        if (settings.PlotPath is not null && result.Rows.Exists(row => row.Right))
        {
            Panels.TrySave(console, () => BenchPicture.Save(settings.PlotPath, result, settings.Peers));
        }

        console.Write(writer => BenchJson.Write(writer, result), text => BenchTable.Write(text, result));
        return result.Rows.Exists(row => !row.Right) ? ExitCode.Wrong
            : result.HasFailed ? ExitCode.Failed
            : ExitCode.Ok;
    }

    private static async Task<int> ExecuteAsync(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        BenchSettings settings = BenchSettings.Read(result);
        await using MoeHost host = HostFactory.Create(result, console);
        return Execute(host, settings, console, cancellationToken);
    }
}
