using Moe.Plugins;
using Moe.Plugins.Marlin;

[assembly: MoePlugin("Mxfp4.Marlin", typeof(MarlinPlugin))]

namespace Moe.Plugins.Marlin;

/// <summary>The plugin's entry type.</summary>
public sealed class MarlinPlugin : IMoePlugin
{
    /// <inheritdoc/>
    public IMoeBackend CreateBackend(IMoePluginContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return new MarlinBackend(context);
    }
}
