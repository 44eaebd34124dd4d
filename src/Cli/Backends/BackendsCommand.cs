using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>`moe backends`: what lies in the plugin folders, and what each backend would make of a layer.</summary>
internal static class BackendsCommand
{
    private const string Description =
        "List the backends: version, path, how they pad, their two capabilities, and whether they can run a layer here or why not. "
        + "The layer is gpt-oss-20b unless --shape names another.";

    public static Command Create(CommandConsole console)
    {
        var command = new Command("backends", Description)
        {
            CommandOptions.Explain,
            CommandOptions.Shape,
            CommandOptions.Plugins,
            CommandOptions.Json,
        };
        command.SetAction((result, _) => ExecuteAsync(result, console));
        return command;
    }

    private static async Task<int> ExecuteAsync(ParseResult result, CommandConsole console)
    {
        MoeLayerShape shape = result.GetValue(CommandOptions.Shape) ?? MoeLayerShape.GptOss20B;
        await using MoeHost host = HostFactory.Create(result);
        BackendsReport report = BackendsReport.Create(host, shape);
        if (result.GetValue(CommandOptions.Json))
        {
            JsonText.WriteObject(console.Json, report.WriteJson);
        }
        else
        {
            report.WriteText(console.Out, result.GetValue(CommandOptions.Explain));
        }

        return ExitCode.Ok;
    }
}
