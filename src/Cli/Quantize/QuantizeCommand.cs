using System.CommandLine;
using System.Text.Json;
using Moe.Plugins.Checkpoints;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>`moe quantize`: writes a checkpoint anew with its experts in four bits.</summary>
internal static class QuantizeCommand
{
    private const string Target = "mxfp4";
    private const string Search = "search";
    private const string Ocp = "ocp";

    private static readonly Argument<string> Model = new("FILE|FOLDER")
    {
        Description = "Checkpoint with experts in BF16, FP16, FP32 or FP8, its config.json beside it.",
    };

    private static readonly Option<string> To = new("--to")
    {
        Description = $"Format of the experts: {Target}, in compressed-tensors' naming.",
        HelpName = "FORMAT",
        Required = true,
    };

    private static readonly Option<string> Output = new("--output")
    {
        Description = "Folder to write: new, empty, or one that this command has begun, which it goes on with.",
        HelpName = "FOLDER",
        Required = true,
    };

    private static readonly Option<string?> Scales = new("--scales")
    {
        Description = $"{Ocp}: each block's scale by the rule of OCP Microscaling Formats; {Search}: that or the next, whichever loses less. Default: {Search}.",
        HelpName = "RULE",
    };

    public static Command Create(CommandConsole console)
    {
        var command = new Command("quantize", "Write a checkpoint anew with its experts in MXFP4 and everything else as it is, a layer at a time.")
        {
            Model,
            To,
            Output,
            Scales,
        };
        command.SetComputation((result, cancellationToken) => Task.FromResult(Execute(result, console, cancellationToken)));
        return command;
    }

    private static int Execute(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        string to = result.GetRequiredValue(To);
        string scales = result.GetValue(Scales) ?? Search;
        string output = result.GetRequiredValue(Output);
        if (!to.Equals(Target, StringComparison.OrdinalIgnoreCase))
        {
            throw new CommandException(ExitCode.BadInput, $"--to is '{to}'; {Target} is expected.");
        }

        if (scales is not (Search or Ocp))
        {
            throw new CommandException(ExitCode.BadInput, $"--scales is '{scales}'; {Search} or {Ocp} is expected.");
        }

        if (string.IsNullOrWhiteSpace(output))
        {
            throw new CommandException(ExitCode.BadInput, "--output is empty; a folder is expected.");
        }

        ProgressLine progress = console.BeginProgress();
        progress.Begin("quantizing");
        QuantizationReport report = CheckpointQuantizer.ToMxfp4(result.GetRequiredValue(Model), output, scales == Search, progress, cancellationToken);
        progress.Clear();
        console.Write(
            writer => WriteJson(writer, output, report),
            text => WriteText(text, output, report));
        return ExitCode.Ok;
    }

    private static void WriteJson(Utf8JsonWriter writer, string output, QuantizationReport report)
    {
        writer.WriteString("output", output);
        writer.WriteNumber("bytes", report.ByteCount);
        writer.WriteStartArray("layers");
        foreach ((string layer, double error) in report.Layers)
        {
            writer.WriteStartObject();
            writer.WriteString("name", layer);
            writer.WriteNumber("relative_error", error);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private static void WriteText(IAnsiConsole console, string output, QuantizationReport report)
    {
        console.MarkupLineInterpolated(
            $"[bold]{output}[/]: {HumanText.Count(report.Layers.Count, "layer")} with experts in MXFP4, {HumanText.Bytes(report.ByteCount)} in all");
        Table table = new Table().Border(TableBorder.None).AddColumns("  layer", "  relative error of its experts' weights");
        foreach ((string layer, double error) in report.Layers)
        {
            table.AddRow(new Text($"  {layer}"), new Text($"  {HumanText.Error(error)}"));
        }

        console.Write(table);
    }
}
