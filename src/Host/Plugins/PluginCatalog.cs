using System.Diagnostics;

namespace Moe.Plugins;

/// <summary>Takes every plugin that is there as far as it goes.</summary>
internal static class PluginCatalog
{
    /// <param name="sources">Where they come from; of two equal ids, the one of the first source counts.</param>
    /// <param name="activator">Makes the backends.</param>
    public static IReadOnlyList<PluginRecord> Load(IEnumerable<IPluginSource> sources, PluginActivator activator)
    {
        using MoeTelemetry.Work activity = MoeTelemetry.Start("load");
        var plugins = new List<PluginRecord>();
        foreach (IPluginSource source in sources)
        {
            plugins.AddRange(source.Load([.. plugins]));
        }

        // All at once: a plugin that hangs costs the program one deadline, however many do.
        List<(PluginRecord Plugin, Deadline<IMoeBackend>? Work)> started = [.. plugins.Select(p => (p, activator.Start(p)))];
        foreach ((PluginRecord plugin, Deadline<IMoeBackend>? work) in started)
        {
            activator.Finish(plugin, work);
            MoeTelemetry.Loaded(plugin);
        }

        return plugins;
    }
}
