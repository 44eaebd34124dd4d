namespace Moe.Plugins;

/// <summary>Where a plugin lies in a drop folder.</summary>
/// <param name="Source">Who found it there, and can load it again.</param>
/// <param name="Name">Its folder's name.</param>
/// <param name="Folder">The folder.</param>
internal sealed record PluginFile(IPluginSource Source, string Name, string Folder)
{
    /// <summary>The assembly that the plugin is: named after the folder.</summary>
    public string MainAssembly => Path.Combine(Folder, Name + ".dll");
}
