using System.Text.Json;

namespace Moe.Plugins.Cli;

/// <summary>
/// Reloads plugins whose folder's content changed, until it is interrupted. It compares contents and asks no file system for news:
/// many container and network mounts have none, and a rename over a DLL is none that a watcher of writes would hear of.
/// </summary>
internal static class BackendsWatch
{
    public static async Task RunAsync(MoeHost host, CommandConsole console, TimeSpan pause, CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                await Task.Delay(pause, cancellationToken);
                foreach (MoeReloadReport report in await host.ReloadChangedAsync(cancellationToken))
                {
                    console.Write(writer => WriteJson(writer, report), text => text.Say($"{report.Sentence}"));
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // An interrupt is how watching ends; it is no error.
        }
    }

    private static void WriteJson(Utf8JsonWriter writer, MoeReloadReport report)
    {
        writer.WriteString("backend", report.Id);
        writer.WriteString("version", report.Plugin.Version);
        writer.WriteString("outcome", report.Outcome.ToString().ToLowerInvariant());
        writer.WriteString("message", report.Sentence);
    }
}
