using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>`moe bench padding`: what a layer gains where its method needs no padding and slicing around it.</summary>
internal static class PaddingCommand
{
    private const string Description =
        "Measure what not padding is worth: the same layer with the host padding its input and slicing its output, and without, replayed in turns. "
        + "Both must give the same bits, which are checked against float64.";

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
            BenchOptions.JsonFile,
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
        PaddingResult result;
        try
        {
            result = BenchProgress.Run(console, run.Execute);
        }
        finally
        {
            // Also what was measured before something ended the run.
            if (run.Result is { Rows.Count: > 0 } measured)
            {
                PaddingTable.Write(console.Out, measured);
            }
        }

        if (settings.PlotPath is not null && result.Rows.Exists(row => row.Right))
        {
            PaddingPicture.Save(settings.PlotPath, result);
        }

        return result.Rows.TrueForAll(row => row.Right) ? ExitCode.Ok : ExitCode.Wrong;
    }

    private static async Task<int> ExecuteAsync(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        BenchSettings settings = PaddingSettings.Read(result);
        await using MoeHost host = HostFactory.Create(result);
        try
        {
            return Execute(host, settings, console, cancellationToken);
        }
        catch (MoeException exception) when (exception.Reason is not (MoeReason.Configuration or MoeReason.NotFound or MoeReason.Shape))
        {
            throw new CommandException(ExitCode.Failed, exception.Message, exception);
        }
    }
}
