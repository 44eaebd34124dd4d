using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Moe.Plugins;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>
/// Registers <see cref="IMoeHost"/>, and <see cref="MoeHost"/> as the same, with plugins from folders, as a singleton, which the container disposes.
/// With a name, both are registered under it as their key, and the options are the named ones.
/// </summary>
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
    public static IMoeBuilder AddMoePlugins(this IServiceCollection services, Action<MoeOptions> configure) => Add(services, name: null, configure);

    /// <summary>Registers a host of a name that loads plugins as configuration says.</summary>
    /// <param name="services">The services.</param>
    /// <param name="name">The host's key, and the name of its options.</param>
    /// <param name="section">Its own section.</param>
    [RequiresUnreferencedCode(McMasterPluginLoader.Reason)]
    [RequiresDynamicCode(McMasterPluginLoader.Reason)]
    public static IMoeBuilder AddMoePlugins(this IServiceCollection services, string name, IConfiguration section)
    {
        ArgumentNullException.ThrowIfNull(section);
        return services.AddMoePlugins(name, options => MoeOptionsReader.Read(section, options));
    }

    /// <summary>Registers a host of a name that loads plugins as <paramref name="configure"/> says.</summary>
    /// <param name="services">The services.</param>
    /// <param name="name">The host's key, and the name of its options.</param>
    /// <param name="configure">Sets options.</param>
    [RequiresUnreferencedCode(McMasterPluginLoader.Reason)]
    [RequiresDynamicCode(McMasterPluginLoader.Reason)]
    public static IMoeBuilder AddMoePlugins(this IServiceCollection services, string name, Action<MoeOptions> configure)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        return Add(services, name, configure);
    }

    [RequiresUnreferencedCode(McMasterPluginLoader.Reason)]
    [RequiresDynamicCode(McMasterPluginLoader.Reason)]
    private static MoeBuilder Add(IServiceCollection services, string? name, Action<MoeOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(configure);
        services.TryAddKeyedSingleton<Func<MoeOptions, IPluginSource>>(
            name, static (_, _) => static options => new PluginFolders(options, new McMasterPluginLoader()));
        return MoeServiceCollectionExtensions.AddHost(services, name, configure);
    }
}
