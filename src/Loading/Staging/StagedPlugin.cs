namespace Moe.Plugins;

/// <summary>A plugin's private copy, kept from being pruned by any process until it is disposed.</summary>
/// <param name="folder">The copy.</param>
/// <param name="content">What it holds, read from the copy itself.</param>
/// <param name="use">Says to other processes that the copy is in use; null where nobody can write, and so nobody prunes.</param>
internal sealed class StagedPlugin(string folder, PluginContent content, FileLock? use) : IDisposable
{
    public string Folder => folder;

    public PluginContent Content => content;

    /// <summary>The copy's main assembly.</summary>
    public string MainAssemblyOf(PluginFile file) => Path.Combine(folder, file.Name + ".dll");

    public void Dispose() => use?.Dispose();
}
