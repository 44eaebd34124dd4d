namespace Moe.Plugins;

/// <summary>A plugin of a drop folder: what was read of it, its private copy, and the context that the copy is loaded into.</summary>
internal sealed class FolderPlugin(PluginFile file, VerdictStore verdicts) : PluginRecord(PlainText.Of(file.Name), file.MainAssembly)
{
    private LoadingMark? _mark;

    /// <summary>What the drop folder held; null until it was read.</summary>
    public PluginContent? Source { get; set; }

    /// <summary>Its private copy; null until it was made.</summary>
    public StagedPlugin? Staged { get; set; }

    /// <summary>The class that its metadata names as its entry type.</summary>
    public string EntryType { get; set; } = "";

    /// <summary>Its context; null until it was loaded.</summary>
    public ILoadedPlugin? Loaded { get; set; }

    public override string Folder => Staged?.Folder ?? file.Folder;

    // While a plugin is worked on, its version stays; the hash is the one that moe backends --explain shows.
    public override string Build => Source is { } content ? $"{Version} ({content.ShortHash})" : Version;

    public override WeakReference? Code => Loaded?.Context;

    // Should the process end now, the next one finds the mark. One that cannot be made is missed by nobody but that process.
    public override void BeginActivation() => Attempt(() => _mark = verdicts.Mark(Staged!.Content.Hash));

    public override void EndActivation()
    {
        Attempt(() => _mark?.Dispose());
        _mark = null;
    }

    protected override void Unload()
    {
        Loaded?.Dispose();
        Loaded = null;
        Staged?.Dispose();
        Staged = null;
    }

    private static void Attempt(Action write)
    {
        try
        {
            write();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or MoeException)
        {
            // A full disk is no reason for a plugin to be refused.
        }
    }
}
