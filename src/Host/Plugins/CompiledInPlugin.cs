using System.Reflection;

namespace Moe.Plugins;

/// <summary>A backend that is part of the program: nothing is found, staged or loaded.</summary>
internal sealed record CompiledInPlugin(string Id, string Version, string Contract, Func<IMoePlugin> Create)
{
    public static CompiledInPlugin Of<TPlugin>(string? id)
        where TPlugin : IMoePlugin, new()
    {
        Assembly assembly = typeof(TPlugin).Assembly;
        MoePluginAttribute? declared = assembly.GetCustomAttribute<MoePluginAttribute>();
        id ??= declared?.EntryType == typeof(TPlugin) ? declared.Id : typeof(TPlugin).Name;
        string? version = assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0];
        return PluginId.IsValid(id)
            ? new CompiledInPlugin(id, version ?? "", declared?.Contract ?? MoeContract.Version, static () => new TPlugin())
            : throw new ArgumentException($"'{id}' is no backend id; {PluginId.Rule} is expected.", nameof(id));
    }
}
