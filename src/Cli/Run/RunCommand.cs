using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>`moe run`: loads one layer on a backend, runs tokens through it, and says how long it took and how right it is.</summary>
internal static class RunCommand
{
    private const string Description =
        "Run one layer: say which backend runs it and why, what is padded, how long a forward takes and how large its error is. "
        + "Without --model and --shape it runs and verifies a small sample checkpoint that comes with the program.";

    public static Command Create(CommandConsole console)
    {
        var command = new Command("run", Description)
        {
            CommandOptions.Model,
            CommandOptions.Shape,
            CommandOptions.Layer,
            CommandOptions.Input,
            CommandOptions.Backend,
            CommandOptions.Device,
            CommandOptions.Tokens,
            CommandOptions.Seed,
            CommandOptions.TensorParallel,
            CommandOptions.ExpertParallel,
            CommandOptions.Devices,
            CommandOptions.Plugins,
            CommandOptions.OutputType,
            CommandOptions.Verify,
            CommandOptions.Output,
        };

        command.SetComputation((result, cancellationToken) => ExecuteAsync(result, console, cancellationToken));
        return command;
    }

    private static async Task<int> ExecuteAsync(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        RunSettings settings = RunSettings.Read(result);
        await using MoeHost host = HostFactory.Create(result, console, settings.TellRanks);
        settings = settings.WithRanksOf(host);
        using RunInput input = settings.OpenInput();
        if (settings.Model is not null)
        {
            LayerPatternCheck.Warn(console, settings.Model, input.LayerNames);
        }

        var request = new MoeLayerRequest
        {
            Name = input.LayerName,
            Shape = input.Shape,
            Backend = result.GetValue(CommandOptions.Backend),
            NamedBy = CommandOptions.Backend.Name,
            Device = result.GetValue(CommandOptions.Device),
            Options = new MoeLayerOptions
            {
                MaxTokens = input.Tokens.Rows,
                InputType = input.Tokens.ElementType,
                OutputType = settings.OutputType,
            },
        };

        // That there are too many ranks is known before a backend is looked for.
        input.Shape.Slice(MoePart.OfRank(0, settings.TensorParallel, settings.ExpertParallel));
        MoeSelectionReport selection = HostFactory.Select(host, request);
        ProgressLine progress = console.BeginProgress();
        progress.Begin("loading");

        using RunLayers layers = MakeLayers(host, selection, settings, input.Source, progress, cancellationToken);
        progress.Clear();
        using var run = LayerRun.Execute(layers, input.Tokens, input.TokenIds, cancellationToken);
        return Finish(settings, console, new RunReport
        {
            Input = input,
            Selection = selection,
            Layers = layers,
            Settings = settings,
            Run = run,
            Verification = settings.Verify
                ? RunVerification.Check(input, run, layers.First.Method.Numerics.RelativeError, cancellationToken)
                : null,
        });
    }

    private static RunLayers MakeLayers(
        MoeHost host, MoeSelectionReport selection, RunSettings settings, MoeWeightSource source, ProgressLine progress, CancellationToken cancellationToken)
    {
        // By name, so that the report stays the truth: a backend that fails now is an error, not a reason for another one.
        MoeLayerRequest named = selection.Request with { Backend = selection.Selected!.Id };
        IReadOnlyList<MoeDevice> devices = settings.DevicesFrom(selection.Selected.Device!.Value);
        try
        {
            return RunLayers.Create(
                host,
                named,
                devices,
                (settings.TensorParallel, settings.ExpertParallel),
                RunLayers.CreateGroup(host, named, devices, settings),
                source,
                progress,
                cancellationToken);
        }
        catch (MoeSelectionException exception) when (!HostFactory.IsNamed(selection.Request))
        {
            throw HostFactory.NotMade(selection, exception);
        }
    }

    private static int Finish(RunSettings settings, CommandConsole console, RunReport report)
    {
        if (settings.Output is not null)
        {
            OutputFile.Save(settings.Output, report.Run);
        }

        // One of several processes speaks for all.
        if (report.Layers.FirstRank == 0)
        {
            // Where a result is compared, this is said there.
            float[] values = report.Verification is null ? report.Run.Output.ToSingles() : [];
            if (values.Count(value => !float.IsFinite(value)) is > 0 and int count)
            {
                console.WriteWarning($"Of the result's values {count} of {values.Length} are NaN or infinite.");
            }

            console.Write(report.WriteJson, report.WriteText);
        }

        return report.Verification is { Passed: false } ? ExitCode.Wrong : ExitCode.Ok;
    }
}
