using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>
/// Reloads plugins whose folder's content changed, until it is interrupted. It compares contents and asks no file system for news:
/// many container and network mounts have none, and a rename over a DLL is none that a watcher of writes would hear of.
/// </summary>
internal static class BackendsWatch
{
    public static async Task RunAsync(MoeHost host, CommandConsole console, TimeSpan pause, bool asJson, CancellationToken cancellationToken)
    {
        while (await Pause(pause, cancellationToken))
        {
            foreach (MoeReloadReport report in await host.ReloadChangedAsync(cancellationToken))
            {
                if (asJson)
                {
                    WriteJson(console, report);
                }
                else
                {
                    console.Out.WriteLine(report.Sentence);
                }
            }
        }
    }

    // An interrupt is how watching ends; it is no error.
    private static async Task<bool> Pause(TimeSpan pause, CancellationToken cancellationToken)
    {
        try
        {
            await Task.Delay(pause, cancellationToken);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private static void WriteJson(CommandConsole console, MoeReloadReport report) => JsonText.WriteObject(console.Json, writer =>
    {
        writer.WriteString("backend", report.Id);
        writer.WriteString("version", report.Plugin.Version);
        writer.WriteString("outcome", report.Outcome.ToString().ToLowerInvariant());
        writer.WriteString("message", report.Sentence);
    });
}
