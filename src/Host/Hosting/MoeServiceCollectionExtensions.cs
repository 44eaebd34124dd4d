using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Moe.Plugins;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>
/// Registers <see cref="IMoeHost"/>, and <see cref="MoeHost"/> as the same, as a singleton, which the container disposes. With a name, both are
/// registered under it as their key, and the options are the named ones: <c>[FromKeyedServices("name")] IMoeHost</c>.
/// </summary>
public static class MoeServiceCollectionExtensions
{
    /// <summary>Registers a host of default options with a backend that is part of the program.</summary>
    /// <param name="services">The services.</param>
    /// <typeparam name="TPlugin">The backend's entry type.</typeparam>
    public static IMoeBuilder AddMoeBackend<TPlugin>(this IServiceCollection services)
        where TPlugin : IMoePlugin, new() => services.AddMoeBackend<TPlugin>(configure: null);

    /// <summary>
    /// Registers a host with a backend that is part of the program. It loads no DLL, unless <c>AddMoePlugins</c> of
    /// Moe.Plugins.Loading is called too, and works trimmed and natively compiled.
    /// </summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">Sets options; may be null.</param>
    /// <typeparam name="TPlugin">The backend's entry type.</typeparam>
    public static IMoeBuilder AddMoeBackend<TPlugin>(this IServiceCollection services, Action<MoeOptions>? configure)
        where TPlugin : IMoePlugin, new()
    {
        ArgumentNullException.ThrowIfNull(services);
        return AddHost(services, name: null, configure).AddBackend<TPlugin>();
    }

    /// <summary>Registers a host of a name with a backend that is part of the program.</summary>
    /// <param name="services">The services.</param>
    /// <param name="name">The host's key, and the name of its options.</param>
    /// <param name="configure">Sets options; may be null.</param>
    /// <typeparam name="TPlugin">The backend's entry type.</typeparam>
    public static IMoeBuilder AddMoeBackend<TPlugin>(this IServiceCollection services, string name, Action<MoeOptions>? configure)
        where TPlugin : IMoePlugin, new()
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        return AddHost(services, name, configure).AddBackend<TPlugin>();
    }

    internal static MoeBuilder AddHost(IServiceCollection services, string? name, Action<MoeOptions>? configure)
    {
        services.AddOptionsWithValidateOnStart<MoeOptions, MoeOptionsValidator>(name);
        if (configure is not null)
        {
            services.Configure(name ?? Options.Options.DefaultName, configure);
        }

        // A service without a key is one whose key is null.
        services.TryAddKeyedSingleton(name, static (provider, key) => MoeHost.Create(
            provider.GetRequiredService<IOptionsMonitor<MoeOptions>>().Get((string?)key),
            provider.GetService<ILoggerFactory>(),
            [_ => new CompiledInPlugins(provider.GetKeyedServices<CompiledInPlugin>(key)), .. provider.GetKeyedServices<Func<MoeOptions, IPluginSource>>(key)]));
        services.TryAddKeyedSingleton<IMoeHost>(name, static (provider, key) => provider.GetRequiredKeyedService<MoeHost>(key));
        return new MoeBuilder(services, name);
    }
}
