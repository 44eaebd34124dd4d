namespace Moe.Plugins;

/// <summary>A plugin's code failed. The inner exception is what it threw; the reason is the plugin's own where it gave one.</summary>
public sealed class MoePluginException : MoeException
{
    internal MoePluginException(PluginOwner owner, MoeReason reason, string message, Exception? innerException)
        : base(reason, message, innerException)
    {
        PluginId = owner.Id;
        PluginVersion = owner.Version;
    }

    /// <summary>The plugin's id.</summary>
    public string PluginId { get; }

    /// <summary>The plugin's version.</summary>
    public string PluginVersion { get; }
}
