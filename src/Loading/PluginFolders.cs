namespace Moe.Plugins;

/// <summary>The plugins that lie in the configured folders.</summary>
internal sealed class PluginFolders : IPluginSource
{
    private readonly PluginPipeline _pipeline;
    private readonly ContentChanges _changes = new();

    public PluginFolders(MoeOptions options, IPluginLoader loader)
    {
        Folders = PluginFinder.ResolveFolders(options.PluginFolders);
        _pipeline = new PluginPipeline(options, Folders, loader);
    }

    public IReadOnlyList<string> Folders { get; }

    public IReadOnlyList<PluginRecord> Load(IReadOnlyList<PluginRecord> before)
    {
        var plugins = new List<FolderPlugin>();
        foreach (PluginFile file in PluginFinder.Find(this))
        {
            plugins.Add(_pipeline.Prepare(file, id => PluginId.CheckUnique(id, [.. before, .. plugins])));
        }

        // Processes are waited for together.
        Parallel.ForEach(plugins, _pipeline.Judge);
        plugins.ForEach(_pipeline.Load);
        plugins.ForEach(plugin => _changes.Saw(plugin.File!, plugin.Source));
        return plugins;
    }

    public PluginFile? Find(string name) => PluginFinder.Find(this).FirstOrDefault(f => f.Name.Equals(name, StringComparison.OrdinalIgnoreCase));

    public IEnumerable<PluginFile> FindChanged() => PluginFinder.Find(this).Where(_changes.HasChanged);

    public PluginRecord? Reload(PluginFile file, PluginRecord? old, IReadOnlyList<PluginRecord> current)
    {
        FolderPlugin next = _pipeline.Prepare(file, id => CheckId(id, old, current));
        _changes.Saw(file, next.Source);

        // One that never came back is still running its code: the same code is not started again.
        bool isSame = next.Source is { } content && content.Hash == (old as FolderPlugin)?.Source?.Hash;
        if (isSame && old!.State is not (MoeCandidateState.Failed or MoeCandidateState.Rejected or MoeCandidateState.Quarantined))
        {
            next.Release();
            return null;
        }

        _pipeline.Judge(next);
        _pipeline.Load(next);
        return next;
    }

    private static void CheckId(string id, PluginRecord? old, IEnumerable<PluginRecord> current)
    {
        if (old is { HasEnded: false } && !old.Id.Equals(id, StringComparison.OrdinalIgnoreCase))
        {
            throw new MoeException(MoeReason.Trust, $"The folder held plugin {old.Id} and now holds {id}.");
        }

        PluginId.CheckUnique(id, current.Where(p => !ReferenceEquals(p, old)));
    }
}
