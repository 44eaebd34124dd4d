using System.CommandLine;
using System.Globalization;

namespace Moe.Plugins.Cli;

/// <summary>`moe bench model`: tokens per second of a whole model, and how near that is to what the machine allows.</summary>
internal static class ModelBenchCommand
{
    private const string Description =
        "Measure a whole GPT-OSS: reading prompts and writing tokens, over batch and context, against a floor measured in the same run: reading every "
        + "weight that a step needs once, or its multiplications. `moe make-model FOLDER --size gpt-oss-20b --layers 4` writes a model to measure with.";

    private static readonly Option<int[]> Prompts = List("--prompt", "Lengths of prompts to read.", "512");

    private static readonly Option<int[]> Batches = List("--batch", "Sequences that are written at once.", "1,4");

    private static readonly Option<int[]> Contexts = List("--context-tokens", "Positions that each sequence has before.", "128,1024");

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
            BenchOptions.Plot,
            BenchOptions.Peers,
        };
        foreach (Option option in ModelOptions.Loading)
        {
            command.Add(option);
        }

        command.SetComputation((result, cancellationToken) => ExecuteAsync(result, console, cancellationToken));
        return command;
    }

    private static async Task<int> ExecuteAsync(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        ModelPeers? peers = result.GetValue(BenchOptions.Peers) is string file ? ModelPeers.Load(file) : null;
        await using LoadedModel loaded = LoadedModel.Open(result, console, cancellationToken);
        var run = new ModelBenchRun(loaded, result.GetValue(CommandOptions.Seed) ?? 1, result.GetValue(BenchOptions.Seconds) ?? 2, cancellationToken)
        {
            CacheType = ModelOptions.TypeOf(result.GetValue(ModelOptions.Cache)),
            OutputPath = result.GetValue(BenchOptions.Output),
        };
        ModelBenchResult measured = Unfinished.Run(
            console,
            progress => Measure(run, result, progress),
            () => run.Result,
            static (rows, writer) => BenchJson.Write(writer, rows),
            (rows, text) => ModelBenchTable.Write(text, rows, peers));
        if (result.GetValue(BenchOptions.Plot) is string picture)
        {
            ModelBenchPicture.Save(picture, measured, peers);
        }

        console.Write(writer => BenchJson.Write(writer, measured), text => ModelBenchTable.Write(text, measured, peers));
        return ExitCode.Ok;
    }

    private static ModelBenchResult Measure(ModelBenchRun run, ParseResult result, ProgressLine progress)
    {
        int[] prompts = result.GetRequiredValue(Prompts), batches = result.GetRequiredValue(Batches), contexts = result.GetRequiredValue(Contexts);
        progress.Plan(prompts.Length + (batches.Length * contexts.Length));
        foreach (int prompt in prompts)
        {
            progress.Begin($"prompt of {prompt}");
            run.MeasurePrefill(prompt);
            progress.Step();
        }

        foreach (int context in contexts)
        {
            foreach (int batch in batches)
            {
                progress.Begin($"{batch} × {context}");
                run.MeasureDecode(batch, context);
                progress.Step();
            }
        }

        return run.Result;
    }

    private static Option<int[]> List(string name, string description, string defaults) => new(name)
    {
        Description = $"{description} Default: {defaults}.",
        HelpName = "LIST",
        DefaultValueFactory = _ => Parse(defaults)!,
        CustomParser = result =>
        {
            string text = string.Join(',', result.Tokens.Select(token => token.Value));
            if (Parse(text) is int[] values)
            {
                return values;
            }

            result.AddError($"{name} is '{text}'; whole numbers from 1 on are expected, as in {defaults}.");
            return [];
        },
    };

    private static int[]? Parse(string text)
    {
        int[] values = [.. text.Split(',').Select(part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : 0)];
        return values.All(value => value >= 1) ? values : null;
    }
}
