using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Moe.Plugins;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers <see cref="MoeHost"/>, with plugins from folders, as a singleton, which the container disposes.</summary>
public static class MoePluginsServiceCollectionExtensions
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
        services.TryAddSingleton<Func<MoeOptions, IPluginSource>>(static options => new PluginFolders(options, new McMasterPluginLoader()));
        return MoeServiceCollectionExtensions.AddHost(services, configure);
    }
}
