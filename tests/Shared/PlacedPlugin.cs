using System.Reflection;

namespace Moe.Plugins.Tests;

/// <summary>A plugin beside the tests, without a host: for what makes backends of its own.</summary>
internal static class PlacedPlugin
{
    public static IMoeBackend CreateBackend(string id, IMoePluginContext context)
    {
        Assembly assembly = Assembly.LoadFrom(Path.Combine(AppContext.BaseDirectory, "plugins", id, id + ".dll"));
        Type type = assembly.GetCustomAttribute<MoePluginAttribute>()!.EntryType;
        return ((IMoePlugin)Activator.CreateInstance(type)!).CreateBackend(context);
    }
}
