using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>`moe bench model`: tokens per second of a whole model, and how near that is to what the machine allows.</summary>
internal static class ModelBenchCommand
{
    public const string ExperimentName = "--experiment";

    private const string Description =
        "Measure a whole GPT-OSS: reading prompts and writing tokens, over batch and context, against a floor measured in the same run: reading every "
        + "weight that a step needs once, or its multiplications. `moe make-model FOLDER --size gpt-oss-20b --layers 4` writes a model to measure with.";

    private static readonly Option<int[]> Prompts = BenchOptions.Counts("--prompt", "Lengths of prompts to read. Default: 512.");

    private static readonly Option<int[]> Batches = BenchOptions.Counts("--batch", "Sequences that are written at once. Default: 1,4.");

    private static readonly Option<int[]> Contexts = BenchOptions.Counts("--context-tokens", "Positions that each sequence has before. Default: 128,1024.");

    private static readonly Option<string?> Plot = CommandOptions.Text("--plot", "FILE.png", "Draw the results: tokens per second, with what the floor allows.");

    private static readonly Option<string?> Peers = CommandOptions.Text(
        "--peers", "FILE", "Figures of other programs, to show and draw beside them; docs/gpt-oss.md has the format.");

    private static readonly Option<bool> Experiment = new(ExperimentName)
    {
        Description = "Over several GPUs, measure answers with the expert layers padded, not padded, and not padded with reduction, addition and norm in one "
            + "kernel. Default batches then: 1,8,32.",
    };

    public static Command Create(CommandConsole console)
    {
        var command = new Command("model", Description)
        {
            Prompts,
            Batches,
            Contexts,
            BenchOptions.Seconds,
            CommandOptions.Seed,
            BenchOptions.Output,
            Plot,
            Peers,
            Experiment,
        };
        foreach (Option option in ModelOptions.Loading)
        {
            command.Add(option);
        }

        command.SetComputation((result, cancellationToken) => ExecuteAsync(result, console, cancellationToken));
        return command;
    }

    private static Task<int> ExecuteAsync(ParseResult result, CommandConsole console, CancellationToken cancellationToken) =>
        result.GetValue(Experiment) ? CompareAsync(result, console, cancellationToken) : MeasureAsync(result, console, cancellationToken);

    private static async Task<int> MeasureAsync(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        ModelPeers? peers = result.GetValue(Peers) is string file ? ModelPeers.Load(file) : null;
        string? picture = BenchSettings.Writable(result, Plot), output = BenchSettings.Writable(result, BenchOptions.Output);
        int[] prompts = Given(result, Prompts, 512), batches = Given(result, Batches, 1, 4), contexts = Given(result, Contexts, 128, 1024);

        // Loading is the first step.
        ProgressLine progress = console.BeginProgress();
        progress.Plan(1 + prompts.Length + (batches.Length * contexts.Length));
        await using LoadedModel loaded = LoadedModel.Open(result, console, progress, cancellationToken);
        progress.Step();
        var defaults = new BenchSettings();
        int seed = result.GetValue(CommandOptions.Seed) ?? defaults.Seed;
        var run = new ModelBenchRun(loaded, seed, result.GetValue(BenchOptions.Seconds) ?? defaults.Seconds, cancellationToken)
        {
            OutputPath = output,
        };
        ModelBenchResult measured = Unfinished.Run(
            console,
            progress,
            _ => Measure(run, prompts, batches, contexts, progress),
            () => run.Result,
            static (rows, writer) => BenchJson.Write(writer, rows),
            (rows, text) => ModelBenchTable.Write(text, rows, peers));
        if (picture is not null)
        {
            Panels.TrySave(console, () => ModelBenchPicture.Save(picture, measured, peers));
        }

        console.Write(writer => BenchJson.Write(writer, measured), text => ModelBenchTable.Write(text, measured, peers));
        return ExitCode.Ok;
    }

    private static async Task<int> CompareAsync(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        string? picture = BenchSettings.Writable(result, Plot), output = BenchSettings.Writable(result, BenchOptions.Output);
        int[] batches = Given(result, Batches, 1, 8, 32), contexts = Given(result, Contexts, 1024);
        ProgressLine progress = console.BeginProgress();
        progress.Plan(1 + (batches.Length * contexts.Length));
        await using LoadedModel loaded = LoadedModel.Open(result, console, progress, cancellationToken, hasWays: true);
        progress.Step();
        var defaults = new BenchSettings();
        var run = new ExperimentRun(
            loaded, result.GetValue(CommandOptions.Seed) ?? defaults.Seed, result.GetValue(BenchOptions.Seconds) ?? defaults.Seconds, cancellationToken)
        {
            OutputPath = output,
        };
        ExperimentResult measured = Unfinished.Run(
            console,
            progress,
            _ => Compare(run, batches, contexts, progress),
            () => run.Result.Steps.Count == 0 ? null : run.Result,
            static (rows, writer) => BenchJson.Write(writer, rows),
            static (rows, text) => ExperimentTable.Write(text, rows));
        if (picture is not null)
        {
            Panels.TrySave(console, () => ExperimentPicture.Save(picture, measured));
        }

        console.Write(writer => BenchJson.Write(writer, measured), text => ExperimentTable.Write(text, measured));
        return ExitCode.Ok;
    }

    private static ExperimentResult Compare(ExperimentRun run, int[] batches, int[] contexts, ProgressLine progress)
    {
        ForEach(batches, contexts, progress, run.Measure);
        return run.Result;
    }

    private static ModelBenchResult Measure(ModelBenchRun run, int[] prompts, int[] batches, int[] contexts, ProgressLine progress)
    {
        foreach (int prompt in prompts)
        {
            progress.Begin($"prompt of {prompt}");
            run.MeasurePrefill(prompt);
            progress.Step();
        }

        ForEach(batches, contexts, progress, run.MeasureDecode);
        return run.Result;
    }

    private static void ForEach(int[] batches, int[] contexts, ProgressLine progress, Action<int, int> measure)
    {
        foreach (int context in contexts)
        {
            foreach (int batch in batches)
            {
                progress.Begin($"{batch} × {context}");
                measure(batch, context);
                progress.Step();
            }
        }
    }

    private static int[] Given(ParseResult result, Option<int[]> option, params int[] defaults) =>
        result.GetValue(option) is { Length: > 0 } values ? values : defaults;
}
