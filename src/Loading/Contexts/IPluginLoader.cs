namespace Moe.Plugins;

/// <summary>Loads a plugin's main assembly into a context of its own. The one place that knows how is <see cref="McMasterPluginLoader"/>.</summary>
internal interface IPluginLoader
{
    ILoadedPlugin Load(string mainAssembly);
}
