namespace Moe.Plugins;

/// <summary>A loaded plugin. Dispose unloads it, once nothing refers to its types any more.</summary>
internal interface ILoadedPlugin : IDisposable
{
    /// <summary>Its load context, which dies some time after it was unloaded, unless something keeps it.</summary>
    WeakReference Context { get; }

    /// <summary>Makes the entry type, and no other: other types of the assembly may need what is not there.</summary>
    IMoePlugin CreateEntry(string typeName);
}
