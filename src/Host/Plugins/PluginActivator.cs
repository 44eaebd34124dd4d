using Microsoft.Extensions.Logging;

namespace Moe.Plugins;

/// <summary>Makes the backends of plugins that are loaded, or part of the program, under a deadline.</summary>
internal sealed class PluginActivator(MoeOptions options, ILoggerFactory loggers)
{
    /// <summary>Begins to make the backend; null where there is nothing that could.</summary>
    public Deadline<IMoeBackend>? Start(PluginRecord record)
    {
        if (record.HasEnded || record.Entry is not { } entry)
        {
            return null;
        }

        record.BeginActivation();
        record.Settings = new AskedSettings(options.SettingsOf(record.Id));
        var context = new PluginContext(
            record.Settings,
            options.PathOf(nameof(MoeOptions.Plugins), record.Id),
            record.Folder,
            new PluginLog(loggers.CreateLogger($"Moe.Plugins.{record.Id}")));
        return new Deadline<IMoeBackend>(
            $"Moe.Plugins activation of {record.Id}",
            () => entry().CreateBackend(context)
                ?? throw new MoeException(MoeReason.ContractBroken, $"{nameof(IMoePlugin)}.{nameof(IMoePlugin.CreateBackend)} returned null."));
    }

    /// <summary>Waits for the backend.</summary>
    public void Finish(PluginRecord record, Deadline<IMoeBackend>? work)
    {
        if (work is null)
        {
            return;
        }

        try
        {
            if (work.TryGet(options.ActivationTimeout, out IMoeBackend? backend))
            {
                record.Activate(backend!, work.Elapsed);
            }
            else
            {
                record.TimeOut(MoePluginStepKind.Activate, "Making its backend", options);
            }
        }
        catch (Exception exception)
        {
            record.End(MoePluginStepKind.Activate, MoeStepOutcome.Failed, exception, work.Elapsed);
        }
        finally
        {
            record.EndActivation();
        }
    }
}
