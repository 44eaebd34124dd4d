using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Moe.Plugins.Tests;

/// <summary>Options from configuration, and the host from a container.</summary>
public sealed class OptionsTests
{
    [Fact]
    public void Every_option_is_read()
    {
        IConfiguration configuration = Json("""
            { "Moe": {
                "Backend": "Cpu", "Order": ["A", "B"], "Layers": { "model.layers.0.*": "Bf16" }, "Fallback": "forbid",
                "PluginFolders": ["/x", "y"], "Device": "cuda:1", "StagingFolder": "/s", "ActivationTimeout": "00:00:03",
                "Plugins": { "Cpu": { "Threads": 4, "Deep": { "Er": "yes" } } } } }
            """);
        foreach (IConfiguration given in (IConfiguration[])[configuration, configuration.GetSection("Moe")])
        {
            MoeOptions options = MoeOptions.From(given);
            Assert.Equal(("Cpu", MoeFallback.Forbid, "cuda:1", "/s"), (options.Backend, options.Fallback, options.Device, options.StagingFolder));
            Assert.Equal(["A", "B"], options.Order);
            Assert.Equal(["/x", "y"], options.PluginFolders);
            Assert.Equal("Bf16", options.Layers["model.layers.0.*"]);
            Assert.Equal(TimeSpan.FromSeconds(3), options.ActivationTimeout);
            Assert.Equal(("4", "yes"), (options.SettingsOf("CPU")["threads"], options.SettingsOf("CPU")["DEEP:er"]));
            Assert.Empty(options.SettingsOf("Bf16"));
        }
    }

    [Fact]
    public void A_kernel_cache_is_every_plugins_unless_it_has_its_own()
    {
        MoeOptions options = MoeOptions.From(Json("""{ "Moe": { "KernelCache": "kernels", "Plugins": { "Own": { "kernelcache": "/mine" } } } }"""));

        Assert.Equal(Path.Combine(AppContext.BaseDirectory, "kernels"), options.SettingsOf("Bf16")["KernelCache"]);
        Assert.Equal("/mine", options.SettingsOf("Own")["KernelCache"]);
    }

    [Theory]
    [InlineData("""{ "Moe": { "Bakend": "Cpu" } }""", "Moe:Bakend is no option. Did you mean 'Backend'?")]
    [InlineData("""{ "Moe": { "Fallback": "Sometimes" } }""", "Moe:Fallback is 'Sometimes'; Allow, Warn or Forbid is expected.")]
    [InlineData("""{ "Moe": { "Trust": "Nobody" } }""", "Moe:Trust is 'Nobody'; Any, Pinned or Signed is expected.")]
    [InlineData("""{ "Moe": { "Trust": "Pined" } }""", "Moe:Trust is 'Pined'; Any, Pinned or Signed is expected. Did you mean 'Pinned'?")]
    [InlineData("""{ "Moe": { "Trial": "Never" } }""", "Moe:Trial is 'Never'; Child or InProcess is expected.")]
    [InlineData("""{ "Moe": { "ActivationTimeout": "soon" } }""", "Moe:ActivationTimeout is 'soon'; a time such as 00:00:10 is expected.")]
    public void What_cannot_be_read_is_named(string json, string message)
    {
        MoeOptionsException error = Assert.Throws<MoeOptionsException>(() => MoeOptions.From(Json(json)));
        Assert.Equal(MoeReason.Configuration, error.Reason);
        Assert.Equal([message.Split(' ')[0]], error.Keys);
        Assert.StartsWith(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Wrong_values_are_all_named_when_the_program_starts()
    {
        using ServiceProvider provider = new ServiceCollection()
            .AddMoeBackend<FakeBackend>(options =>
            {
                options.Device = "gpu";
                options.Backend = " ";
                options.ActivationTimeout = TimeSpan.Zero;
            })
            .Services.BuildServiceProvider();
        MoeOptionsException error = Assert.Throws<MoeOptionsException>(() => provider.GetRequiredService<IStartupValidator>().Validate());
        Assert.Equal(["MoeOptions.Backend", "MoeOptions.Device", "MoeOptions.ActivationTimeout"], error.Keys);
        Assert.Contains("MoeOptions.Device is 'gpu'; cpu, cuda:N or N is expected.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_program_is_injected_with_the_host_and_has_others_by_name()
    {
        using ServiceProvider provider = new ServiceCollection()
            .AddMoeBackend<FakeBackend>().Services
            .AddMoeBackend<FakeBackend>("spare", options => options.Backend = "Second").AddBackend<FakeBackend>("Second").Services
            .BuildServiceProvider();

        IMoeHost host = provider.GetRequiredService<IMoeHost>();
        IMoeHost spare = provider.GetRequiredKeyedService<IMoeHost>("spare");

        Assert.Same(provider.GetRequiredService<MoeHost>(), host);
        Assert.Same(provider.GetRequiredKeyedService<MoeHost>("spare"), spare);
        Assert.Equal(["FakeBackend"], host.Plugins.Select(plugin => plugin.Id));
        Assert.Equal(["FakeBackend", "Second"], spare.Plugins.Select(plugin => plugin.Id));
        Assert.Equal("Second", spare.Explain(TinyLayer.Request).Selected!.Id);
    }

    [Fact]
    public void A_wrong_option_of_a_named_host_is_named_by_its_own_section()
    {
        var options = new MoeOptions();
        MoeOptionsReader.Read(Json("""{ "Hosts": { "Spare": { "Device": "gpu" } } }""").GetSection("Hosts:Spare"), options);

        Assert.Equal(["Hosts:Spare:Device"], Assert.Throws<MoeOptionsException>(() => MoeOptionsValidator.Check(options)).Keys);
    }

    [Fact]
    public void A_backend_of_the_program_needs_no_loading()
    {
        using ServiceProvider provider = new ServiceCollection().AddMoeBackend<FakeBackend>().Services.BuildServiceProvider();
        MoeHost host = provider.GetRequiredService<MoeHost>();
        MoePluginInfo plugin = Assert.Single(host.Plugins);
        Assert.Equal(("FakeBackend", "(compiled in)"), (plugin.Id, plugin.Path));
        Assert.Equal("FakeBackend", host.Explain(TinyLayer.Request).Selected!.Id);
    }

    private static IConfigurationRoot Json(string json) =>
        new ConfigurationBuilder().AddJsonStream(new MemoryStream(System.Text.Encoding.UTF8.GetBytes(json))).Build();
}
