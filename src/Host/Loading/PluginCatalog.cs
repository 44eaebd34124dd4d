using System.Diagnostics;

namespace Moe.Plugins;

/// <summary>Takes every plugin that is there as far as it goes.</summary>
internal static class PluginCatalog
{
    /// <param name="folders">The folders to look in, absolute.</param>
    /// <param name="compiledIn">Backends of the program itself; they come first.</param>
    /// <param name="pipeline">Null where no DLL is to be loaded.</param>
    /// <param name="activator">Makes the backends.</param>
    public static IReadOnlyList<PluginRecord> Load(
        IReadOnlyList<string> folders,
        IEnumerable<CompiledInPlugin> compiledIn,
        PluginPipeline? pipeline,
        PluginActivator activator)
    {
        using Activity? activity = MoeTelemetry.Start("load");
        var plugins = new List<PluginRecord>();
        foreach (CompiledInPlugin plugin in compiledIn)
        {
            plugins.Add(Of(plugin, plugins));
        }

        foreach (PluginFile file in pipeline is null ? [] : PluginFinder.Find(folders))
        {
            plugins.Add(pipeline!.Prepare(file, id => PluginId.CheckUnique(id, plugins)));
        }

        // Processes are waited for together.
        if (pipeline is not null)
        {
            Parallel.ForEach(plugins, pipeline.Judge);
        }

        foreach (PluginRecord plugin in plugins)
        {
            pipeline?.Load(plugin);
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

    private static PluginRecord Of(CompiledInPlugin plugin, IEnumerable<PluginRecord> others)
    {
        var record = new PluginRecord(plugin.Id, "(compiled in)") { Version = plugin.Version, ContractVersion = plugin.Contract };
        bool isNew = record.Try(MoePluginStepKind.Find, MoeCandidateState.Discovered, () =>
        {
            PluginId.CheckUnique(plugin.Id, others);
            return "It is part of the program.";
        });
        if (isNew)
        {
            record.Entry = plugin.Create;
        }

        return record;
    }
}
