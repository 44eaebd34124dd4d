using Microsoft.Extensions.DependencyInjection;

namespace Moe.Plugins;

/// <summary>Goes on with the registration of the host.</summary>
public interface IMoeBuilder
{
    /// <summary>The services that the host is registered with.</summary>
    IServiceCollection Services { get; }

    /// <summary>Adds a backend that is part of the program. Nothing is loaded: it also works trimmed and natively compiled.</summary>
    /// <param name="id">
    /// Its id; null for the one that its assembly declares with <see cref="MoePluginAttribute"/>, or else the type's name.
    /// </param>
    /// <typeparam name="TPlugin">The plugin's entry type.</typeparam>
    /// <exception cref="ArgumentException"><paramref name="id"/> is no id.</exception>
    IMoeBuilder AddBackend<TPlugin>(string? id = null)
        where TPlugin : IMoePlugin, new();
}
