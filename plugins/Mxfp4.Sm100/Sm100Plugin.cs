using Moe.Plugins;
using Moe.Plugins.Sm100;

[assembly: MoePlugin("Mxfp4.Sm100", typeof(Sm100Plugin))]

namespace Moe.Plugins.Sm100;

/// <summary>The plugin's entry type.</summary>
public sealed class Sm100Plugin : IMoePlugin
{
    /// <inheritdoc/>
    public IMoeBackend CreateBackend(IMoePluginContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return new Sm100Backend(context);
    }
}
