namespace Moe.Plugins;

/// <summary>The backends that are part of the program.</summary>
internal sealed class CompiledInPlugins(IEnumerable<CompiledInPlugin> plugins) : IPluginSource
{
    public IReadOnlyList<string> Folders => [];

    public IReadOnlyList<PluginRecord> Load(IReadOnlyList<PluginRecord> before)
    {
        var records = new List<PluginRecord>();
        foreach (CompiledInPlugin plugin in plugins)
        {
            records.Add(Of(plugin, [.. before, .. records]));
        }

        return records;
    }

    public PluginFile? Find(string name) => null;

    public IEnumerable<PluginFile> FindChanged() => [];

    public PluginRecord? Reload(PluginFile file, PluginRecord? old, IReadOnlyList<PluginRecord> current) => null;

    private static PluginRecord Of(CompiledInPlugin plugin, IEnumerable<PluginRecord> others)
    {
        var record = new PluginRecord(plugin.Id, "(compiled in)") { Version = plugin.Version, ContractVersion = plugin.Contract };
        bool isNew = record.Do(MoePluginStepKind.Find, MoeCandidateState.Discovered, () =>
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
