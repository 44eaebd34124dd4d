using Microsoft.Extensions.DependencyInjection;

namespace Moe.Plugins;

internal sealed class MoeBuilder(IServiceCollection services, string? name) : IMoeBuilder
{
    public IServiceCollection Services => services;

    public IMoeBuilder AddBackend<TPlugin>(string? id = null)
        where TPlugin : IMoePlugin, new()
    {
        services.AddKeyedSingleton(name, CompiledInPlugin.Of<TPlugin>(id));
        return this;
    }
}
