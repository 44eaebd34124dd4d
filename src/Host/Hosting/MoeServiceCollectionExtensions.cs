using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Moe.Plugins;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers <see cref="MoeHost"/> as a singleton, which the container disposes.</summary>
public static class MoeServiceCollectionExtensions
{
    /// <summary>Registers a host that loads plugins as the default options say: from the folder <c>plugins</c> beside the program.</summary>
    [RequiresUnreferencedCode(McMasterPluginLoader.Reason)]
    [RequiresDynamicCode(McMasterPluginLoader.Reason)]
    public static IMoeBuilder AddMoePlugins(this IServiceCollection services) => services.AddMoePlugins(static (MoeOptions _) => { });

    /// <summary>Registers a host that loads plugins as configuration says.</summary>
    /// <param name="services">The services.</param>
    /// <param name="section">The section <c>Moe</c>, or the root that has it.</param>
    [RequiresUnreferencedCode(McMasterPluginLoader.Reason)]
    [RequiresDynamicCode(McMasterPluginLoader.Reason)]
    public static IMoeBuilder AddMoePlugins(this IServiceCollection services, IConfiguration section)
    {
        ArgumentNullException.ThrowIfNull(section);
        return services.AddMoePlugins(options => MoeOptionsReader.Read(section, options));
    }

    /// <summary>Registers a host that loads plugins as <paramref name="configure"/> says. The options are checked when a generic host starts.</summary>
    [RequiresUnreferencedCode(McMasterPluginLoader.Reason)]
    [RequiresDynamicCode(McMasterPluginLoader.Reason)]
    public static IMoeBuilder AddMoePlugins(this IServiceCollection services, Action<MoeOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(configure);
        services.TryAddSingleton<IPluginLoader>(static _ => new McMasterPluginLoader());
        return AddHost(services, configure);
    }

    /// <summary>
    /// Registers a host with a backend that is part of the program. It loads no DLL, unless <c>AddMoePlugins</c> is called too, and works
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

    private static MoeBuilder AddHost(IServiceCollection services, Action<MoeOptions>? configure)
    {
        services.AddOptionsWithValidateOnStart<MoeOptions, MoeOptionsValidator>();
        if (configure is not null)
        {
            services.Configure(configure);
        }

        services.TryAddSingleton(static provider => MoeHost.Create(
            provider.GetRequiredService<IOptions<MoeOptions>>().Value,
            provider.GetService<ILoggerFactory>(),
            provider.GetServices<CompiledInPlugin>(),
            provider.GetService<IPluginLoader>()));
        return new MoeBuilder(services);
    }
}
