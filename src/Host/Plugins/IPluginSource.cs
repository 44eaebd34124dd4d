namespace Moe.Plugins;

/// <summary>
/// Where a host takes plugins from: the program itself, or folders of DLLs. A source takes each plugin as far as it goes without running its
/// code in this process; the host activates it, offers it, and unloads it.
/// </summary>
internal interface IPluginSource
{
    /// <summary>The folders that it looks in, absolute.</summary>
    IReadOnlyList<string> Folders { get; }

    /// <summary>Every plugin that is there, usable or not, in the order that decides which of two equal ids counts.</summary>
    /// <param name="before">The plugins of sources that come first.</param>
    IReadOnlyList<PluginRecord> Load(IReadOnlyList<PluginRecord> before);

    /// <summary>Where a plugin of this name lies; null where none does.</summary>
    PluginFile? Find(string name);

    /// <summary>The plugins whose content is not what it was at the last look, and those that were added.</summary>
    IEnumerable<PluginFile> FindChanged();

    /// <summary>Loads what a plugin's folder holds now.</summary>
    /// <param name="file">Where it lies.</param>
    /// <param name="old">The plugin that was loaded from there; null where none was.</param>
    /// <param name="current">All plugins that the host has.</param>
    /// <returns>The plugin as it is now; null where it is what <paramref name="old"/> is.</returns>
    PluginRecord? Reload(PluginFile file, PluginRecord? old, IReadOnlyList<PluginRecord> current);
}
