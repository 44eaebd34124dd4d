using System.CommandLine;
using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.Cli;

/// <summary>`moe inspect`: the mixture-of-experts layers of a checkpoint, and what each backend makes of them.</summary>
internal static class InspectCommand
{
    private const string Description =
        "List a checkpoint's mixture-of-experts layers, what each backend pads them to, and how many bytes their weights take there: "
        + "one layer of each kind is loaded on every backend that can run it here.";

    private static readonly Argument<string> Path = CommandOptions.RequiredText(
        "FILE|FOLDER", "Safetensors file, or a folder as Hugging Face lays it out.");

    public static Command Create(CommandConsole console)
    {
        var command = new Command("inspect", Description)
        {
            Path,
            CommandOptions.Plugins,
        };
        command.SetComputation((result, cancellationToken) => ExecuteAsync(result, console, cancellationToken));
        return command;
    }

    private static async Task<int> ExecuteAsync(ParseResult result, CommandConsole console, CancellationToken cancellationToken)
    {
        using var checkpoint = Checkpoint.Open(result.GetRequiredValue(Path));
        if (checkpoint.MoeLayers.Count == 0)
        {
            throw RunInput.NoLayers(checkpoint);
        }

        await using MoeHost host = HostFactory.Create(result, console, mayBeEmpty: true);
        LayerPatternCheck.Warn(console, checkpoint.Path, [.. checkpoint.MoeLayers.Select(layer => layer.Name)]);
        ProgressLine progress = console.BeginProgress();
        var report = InspectReport.Create(host, checkpoint, progress, cancellationToken);
        console.Write(report.WriteJson, report.WriteText);
        return ExitCode.Ok;
    }
}
