namespace Moe.Plugins;

/// <summary>A plugin's entry type, named by <see cref="MoePluginAttribute"/>. It is made once and makes the backend.</summary>
public interface IMoePlugin
{
    /// <summary>Makes the backend. Cheap: what touches a device or a native library waits for <see cref="IMoeBackend.Probe"/>.</summary>
    /// <param name="context">The plugin's settings, its folder and the host's log.</param>
    IMoeBackend CreateBackend(IMoePluginContext context);
}
