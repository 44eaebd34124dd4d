using Moe.Plugins;
using Moe.Plugins.Bf16;

[assembly: MoePlugin("Bf16", typeof(Bf16Plugin))]

namespace Moe.Plugins.Bf16;

/// <summary>The plugin's entry type.</summary>
public sealed class Bf16Plugin : IMoePlugin
{
    /// <inheritdoc/>
    public IMoeBackend CreateBackend(IMoePluginContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return new Bf16Backend(context);
    }
}
