using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>`moe bench parallel`: what the ranks of a group pay for their sums.</summary>
internal static class ParallelCommand
{
    private const string Description =
        "Measure a group of ranks: the reduction that adds the residual and norms, for one number of tokens after another, in graphs of dependent rounds. "
        + "Every row's results are held against float64, and all ranks' against each other.";

    public static Command Create(CommandConsole console)
    {
        var command = new Command("parallel", Description)
        {
            ParallelOptions.Ranks,
            ParallelOptions.Tokens,
            ParallelOptions.Width,
            ParallelOptions.Group,
            ParallelOptions.Plans,
            CommandOptions.Device,
            CommandOptions.Seed,
            BenchOptions.Seconds,
            BenchOptions.Replays,
            BenchOptions.Output,
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
            run.Execute,
            () => run.Result,
            static (measured, writer) => BenchJson.Write(writer, measured),
            static (measured, text) => ParallelTable.Write(text, measured));
        console.Write(writer => BenchJson.Write(writer, result), text => ParallelTable.Write(text, result));
        return Task.FromResult(result.Reductions.TrueForAll(row => row.Right) ? ExitCode.Ok : ExitCode.Wrong);
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
