using Moe.Plugins;
using Moe.Plugins.Cpu;

[assembly: MoePlugin("Cpu", typeof(CpuPlugin))]

namespace Moe.Plugins.Cpu;

/// <summary>The plugin's entry type.</summary>
public sealed class CpuPlugin : IMoePlugin
{
    /// <inheritdoc/>
    public IMoeBackend CreateBackend(IMoePluginContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return new CpuBackend(context);
    }
}
