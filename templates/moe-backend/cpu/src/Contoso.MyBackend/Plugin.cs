using Contoso.MyBackend;
using Moe.Plugins;

[assembly: MoePlugin("Contoso.MyBackend", typeof(Plugin))]

namespace Contoso.MyBackend;

/// <summary>The entry type: the host reads its name from the metadata, and makes it once.</summary>
public sealed class Plugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new Backend();
}
