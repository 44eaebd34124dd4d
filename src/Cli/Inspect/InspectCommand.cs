using System.CommandLine;
using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.Cli;

/// <summary>`moe inspect`: the mixture-of-experts layers of a checkpoint, and what each backend pads them to.</summary>
internal static class InspectCommand
{
    private static readonly Argument<string> Path = new("FILE|FOLDER")
    {
        Description = "Safetensors file, or a folder as Hugging Face lays it out.",
    };

    public static Command Create(CommandConsole console)
    {
        var command = new Command("inspect", "List a checkpoint's layers, what each backend pads them to, and how many bytes a layer of those sizes has: a backend may know how not to store them.")
        {
            Path,
            CommandOptions.Plugins,
            CommandOptions.Json,
        };
        command.SetAction((result, _) => ExecuteAsync(result, console));
        return command;
    }

    private static async Task<int> ExecuteAsync(ParseResult result, CommandConsole console)
    {
        using var checkpoint = Checkpoint.Open(result.GetRequiredValue(Path));
        if (checkpoint.MoeLayers.Count == 0)
        {
            throw RunInput.NoLayers(checkpoint);
        }

        await using MoeHost host = HostFactory.Create(result);
        InspectReport report = InspectReport.Create(host, checkpoint);
        if (result.GetValue(CommandOptions.Json))
        {
            JsonText.WriteObject(console.Json, report.WriteJson);
        }
        else
        {
            report.WriteText(console.Out);
        }

        return ExitCode.Ok;
    }
}
