namespace Moe.Plugins;

/// <summary>A loaded plugin. Dispose unloads it, once nothing refers to its types any more.</summary>
internal interface ILoadedPlugin : IDisposable
{
    /// <summary>Makes the entry type, and no other: other types of the assembly may need what is not there.</summary>
    IMoePlugin CreateEntry(string typeName);
}
