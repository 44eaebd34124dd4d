using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;

namespace Moe.Plugins;

/// <summary>
/// What happens in the process that a plugin is tried in: it is loaded, its backend is made, asked and disposed, each under the deadline.
/// A line in a file says how far it got, for whoever started the process cannot ask it any more once it is gone. What the plugin throws
/// does not matter here: the host sees it again, and survives it.
/// </summary>
[RequiresUnreferencedCode(McMasterPluginLoader.Reason)]
[RequiresDynamicCode(McMasterPluginLoader.Reason)]
internal static class TrialProcess
{
    /// <summary>Called by the program moe-trial: main assembly, entry type, file for the progress, seconds for each step. Settings come on standard input.</summary>
    public static int Run(string[] args)
    {
        (string mainAssembly, string entryType, string progressFile) = (args[0], args[1], args[2]);
        var timeout = TimeSpan.FromSeconds(double.Parse(args[3], CultureInfo.InvariantCulture));
        using var progress = new StreamWriter(progressFile) { AutoFlush = true };
        using var input = Console.OpenStandardInput();
        var context = new PluginContext(
            TrialSettings.Read(input),
            Path.GetDirectoryName(mainAssembly)!,
            new PluginLog(NullLogger.Instance));

        ILoadedPlugin? loaded = null;
        IMoeBackend? backend = null;
        _ = Step(TrialStage.Load, () => loaded = new McMasterPluginLoader().Load(mainAssembly))
            && Step(TrialStage.Activate, () => backend = loaded!.CreateEntry(entryType).CreateBackend(context))
            && Step(TrialStage.Probe, () => Ask(backend))
            && Step(TrialStage.Dispose, () => backend?.DisposeAsync().AsTask().GetAwaiter().GetResult());
        progress.WriteLine(TrialStage.Done);

        // Threads of the plugin, and what it does when a process ends, are not waited for.
        Process.GetCurrentProcess().Kill();
        return 0;

        bool Step(TrialStage stage, Action work)
        {
            progress.WriteLine(stage);
            try
            {
                var running = new Deadline<bool>(
                    $"Moe.Plugins trial, {stage}",
                    () =>
                    {
                        work();
                        return true;
                    });
                if (running.TryGet(timeout, out _))
                {
                    return true;
                }
            }
            catch (Exception)
            {
                return false;
            }

            progress.WriteLine(TrialStage.Hung);
            Process.GetCurrentProcess().Kill();
            return false;
        }
    }

    private static void Ask(IMoeBackend? backend)
    {
        if (backend is null)
        {
            return;
        }

        var record = new PluginRecord("trial", "");
        foreach (MoeWeightFormat format in Enum.GetValues<MoeWeightFormat>())
        {
            MoeLayerShape shape = MoeLayerShape.GptOss20B with { WeightFormat = format };
            BackendProbe.Ask(record, backend, new MoeProbeRequest { Shape = shape }, new MoeLayerOptions());
        }
    }
}
