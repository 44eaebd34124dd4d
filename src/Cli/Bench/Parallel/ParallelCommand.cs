using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>`moe bench parallel`: what the ranks of a group pay for their sums.</summary>
internal static class ParallelCommand
{
    private const string Description =
        "Measure a group of ranks: the reduction that adds the residual and norms, and whole layers over the ranks up to the norm behind them, padded, skipping "
        + "padding, and with both in one kernel; on request the exchange of tokens that each rank brings. In graphs, for one number of tokens after another; every row's results are held against float64, and all "
        + "ranks' against each other.";

    public static Command Create(CommandConsole console)
    {
        var command = new Command("parallel", Description)
        {
            ParallelOptions.Ranks,
            ParallelOptions.Tokens,
            ParallelOptions.Width,
            ParallelOptions.Group,
            ParallelOptions.Plans,
            ParallelOptions.Nccl,
            ParallelOptions.AsRank,
            ParallelOptions.Tune,
            ParallelOptions.Only,
            ParallelOptions.Backends,
            ParallelOptions.Shapes,
            CommandOptions.Device,
            CommandOptions.Devices,
            CommandOptions.Seed,
            BenchOptions.Seconds,
            BenchOptions.Replays,
            BenchOptions.Output,
            ParallelOptions.Plot,
            CommandOptions.Plugins,
        };

        command.SetComputation((result, cancellationToken) => ExecuteAsync(result, console, cancellationToken));
        return command;
    }

    private static Task<int> ExecuteAsync(ParseResult parsed, CommandConsole console, CancellationToken cancellationToken)
    {
        ParallelSettings settings = ParallelSettings.Read(parsed);
        var run = new ParallelRun(plan => HostFactory.Create(parsed, console, options => WithPlan(options, settings.Group, plan)), settings, cancellationToken);
        ParallelResult result = Unfinished.Run(
            console,
            console.BeginProgress(),
            run.Execute,
            () => run.Result,
            static (measured, writer) => BenchJson.Write(writer, measured),
            static (measured, text) => ParallelTable.Write(text, measured));
        console.Write(writer => BenchJson.Write(writer, result), text => ParallelTable.Write(text, result));
        if (settings.Bench.PlotPath is not null && result.Layers.Exists(row => row.Right))
        {
            Panels.TrySave(console, () => ParallelPicture.Save(settings.Bench.PlotPath, result));
        }

        if (settings.TunePath is not null)
        {
            PlanTable.Save(settings.TunePath, result);
        }

        bool isRight = result.Reductions.TrueForAll(row => row.Right) && result.Layers.TrueForAll(row => row.Right) && result.Exchanges.TrueForAll(row => row.Right);
        return Task.FromResult(!isRight ? ExitCode.Wrong : result.HasFailed ? ExitCode.Failed : ExitCode.Ok);
    }

    private static void WithPlan(MoeOptions options, string? plugin, string? plan)
    {
        if (plan is not null)
        {
            string id = plugin ?? throw new CommandException(ExitCode.BadInput, "--plan is a setting of a plugin's: --group NAME is expected with it.");
            Dictionary<string, string> own = options.Plugins.TryGetValue(id, out IReadOnlyDictionary<string, string>? given) ? new(given) : [];
            own["Plan"] = plan;
            options.Plugins[id] = own;
        }
    }
}
