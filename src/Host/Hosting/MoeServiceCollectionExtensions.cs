using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Moe.Plugins;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers <see cref="MoeHost"/> as a singleton, which the container disposes.</summary>
public static class MoeServiceCollectionExtensions
{
    /// <summary>
    /// Registers a host with a backend that is part of the program. It loads no DLL, unless <c>AddMoePlugins</c> of
    /// Moe.Plugins.Loading is called too, and works
    /// trimmed and natively compiled.
    /// </summary>
    /// <param name="services">The services.</param>
    /// <param name="configure">Sets options; may be null.</param>
    /// <typeparam name="TPlugin">The backend's entry type.</typeparam>
    public static IMoeBuilder AddMoeBackend<TPlugin>(this IServiceCollection services, Action<MoeOptions>? configure = null)
        where TPlugin : IMoePlugin, new()
    {
        ArgumentNullException.ThrowIfNull(services);
        return AddHost(services, configure).AddBackend<TPlugin>();
    }

    internal static MoeBuilder AddHost(IServiceCollection services, Action<MoeOptions>? configure)
    {
        services.AddOptionsWithValidateOnStart<MoeOptions, MoeOptionsValidator>();
        if (configure is not null)
        {
            services.Configure(configure);
        }

        services.TryAddSingleton(static provider => MoeHost.Create(
            provider.GetRequiredService<IOptions<MoeOptions>>().Value,
            provider.GetService<ILoggerFactory>(),
            [_ => new CompiledInPlugins(provider.GetServices<CompiledInPlugin>()), .. provider.GetServices<Func<MoeOptions, IPluginSource>>()]));
        return new MoeBuilder(services);
    }
}
