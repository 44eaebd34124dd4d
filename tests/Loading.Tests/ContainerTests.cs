using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace Moe.Plugins.Tests;

/// <summary>A host that loads plugins, from a container.</summary>
public sealed class ContainerTests
{
    [Fact]
    public async Task A_container_makes_one_host_from_configuration_and_disposes_it()
    {
        using var drop = new DropFolder().With("Good");
        IConfiguration configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["Moe:PluginFolders:0"] = drop.Plugins,
            ["Moe:StagingFolder"] = drop.Staging,
            ["Moe:Backend"] = "Good",
        }).Build();
        MoeHost host;
        await using (ServiceProvider provider = new ServiceCollection().AddMoePlugins(configuration).AddBackend<FakeBackend>("Fake").Services.BuildServiceProvider())
        {
            host = provider.GetRequiredService<MoeHost>();
            Assert.Same(host, provider.GetRequiredService<MoeHost>());
            Assert.Equal(["Fake", "Good"], host.Plugins.Select(p => p.Id));
            Assert.Equal("Good", host.Explain(TinyLayer.Request).Selected!.Id);
        }

        Assert.Throws<ObjectDisposedException>(() => host.Explain(TinyLayer.Request));
    }
}
