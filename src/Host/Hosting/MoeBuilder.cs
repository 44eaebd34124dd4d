using Microsoft.Extensions.DependencyInjection;

namespace Moe.Plugins;

internal sealed class MoeBuilder(IServiceCollection services) : IMoeBuilder
{
    public IServiceCollection Services => services;

    public IMoeBuilder AddBackend<TPlugin>(string? id = null)
        where TPlugin : IMoePlugin, new()
    {
        services.AddSingleton(CompiledInPlugin.Of<TPlugin>(id));
        return this;
    }
}
