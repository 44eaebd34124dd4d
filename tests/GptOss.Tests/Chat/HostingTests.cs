using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

namespace Moe.Plugins.GptOss.Tests;

/// <summary>The model in a program: services, and plugins that are replaced while it runs.</summary>
public sealed class HostingTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_service()
    {
        var services = new ServiceCollection();
        services.AddMoePlugins(options => options.Backend = "Cpu");
        services.AddGptOss(Sample.Folder);
        await using ServiceProvider provider = services.BuildServiceProvider();
        var client = provider.GetRequiredService<IChatClient>();
        ChatResponse response = await client.GetResponseAsync("Hello?", new ChatOptions { MaxOutputTokens = 10 }, Cancellation);
        Assert.Equal(10, response.Usage!.OutputTokenCount);
        Assert.All(provider.GetRequiredService<GptOssModel>().ExpertSelections, selection => Assert.Equal("Cpu", selection.Selected!.Id));
    }

    [Fact]
    public async Task A_layer_that_no_backend_runs_names_what_was_found()
    {
        await using var host = MoeHost.Create(new MoeOptions { Backend = "Cpu", Layers = { ["model.layers.1.*"] = "Nobody" } });
        MoeSelectionException refused = Assert.Throws<MoeSelectionException>(() => GptOssModel.Load(host, new GptOssOptions { Model = Sample.Folder }, cancellationToken: Cancellation));
        Assert.Contains("Nobody", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_plugin_that_is_replaced_runs_from_the_next_answer_on()
    {
        string folder = Directory.CreateTempSubdirectory("gpt-oss-plugins-").FullName;
        try
        {
            CopyPlugin(folder);
            await using var host = MoeHost.Create(new MoeOptions { PluginFolders = [folder], Backend = "Cpu" });
            using var sample = new Sample(host);
            var options = new ChatOptions { Seed = 5, MaxOutputTokens = 20 };
            string before = (await sample.Client.GetResponseAsync("Hello?", options, Cancellation)).Text;
            Assert.Equal(0, sample.Model.RefreshExperts(Cancellation));
            MoeSelectionReport old = sample.Model.ExpertSelections[0];

            // Another content of the folder is another version.
            File.WriteAllText(Path.Combine(folder, "Cpu", "notes.txt"), "changed");
            IAsyncEnumerator<ChatResponseUpdate> underWay = sample.Client.GetStreamingResponseAsync("Hello?", options, Cancellation).GetAsyncEnumerator(Cancellation);
            Assert.True(await underWay.MoveNextAsync());
            MoeReloadReport reload = Assert.Single(await host.ReloadChangedAsync(Cancellation));
            Assert.Equal(MoeReloadOutcome.Replaced, reload.Outcome);
            while (await underWay.MoveNextAsync())
            {
                Assert.Same(old, sample.Model.ExpertSelections[0]);
            }

            await underWay.DisposeAsync();
            ChatResponse after = await sample.Client.GetResponseAsync("Hello?", options, Cancellation);
            Assert.NotSame(old, sample.Model.ExpertSelections[0]);
            Assert.Equal(0, after.Usage!.CachedInputTokenCount);
            Assert.Equal(before, after.Text);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void CopyPlugin(string folder)
    {
        string source = Path.Combine(AppContext.BaseDirectory, "plugins", "Cpu");
        Directory.CreateDirectory(Path.Combine(folder, "Cpu"));
        foreach (string file in Directory.GetFiles(source))
        {
            File.Copy(file, Path.Combine(folder, "Cpu", Path.GetFileName(file)));
        }
    }
}
