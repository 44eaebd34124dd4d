using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

namespace Moe.Plugins.GptOss.Tests;

/// <summary>The model in a program: services, hosts and ranks.</summary>
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
    public async Task A_host_that_the_application_registered_itself()
    {
        var asked = new List<string>();
        var services = new ServiceCollection();
        services.AddSingleton<IMoeHost>(new CountingHost(Models.Host, asked));
        services.AddGptOss(Sample.Folder);
        await using ServiceProvider provider = services.BuildServiceProvider();
        ChatResponse response = await provider.GetRequiredService<IChatClient>().GetResponseAsync("Hello?", new ChatOptions { MaxOutputTokens = 3 }, Cancellation);
        Assert.Equal(3, response.Usage!.OutputTokenCount);
        Assert.Equal(provider.GetRequiredService<GptOssModel>().Config.LayerCount, asked.Count);
    }

    [Fact]
    public void Ranks_that_share_the_experts_give_what_one_gives()
    {
        using GptOssModel model = Models.Load(options => options.TensorParallel = 3);
        float[] logits = Models.AllLogits(model, Golden.Text, 20, 1, 32);
        Assert.InRange(Models.WorstRow(logits, Golden.Logits, model.Config.VocabularySize), 0, Models.Float32Error);
        Assert.Equal(0, model.RefreshExperts(Cancellation));
        Assert.Equal("Cpu", model.ExpertSelections[0].Selected!.Id);
    }

    [Theory]
    [InlineData(2, 1)]
    [InlineData(1, 4)]
    [InlineData(2, 2)]
    public async Task Ranks_of_the_configuration_give_what_one_gives(int tensor, int expert)
    {
        await using var host = MoeHost.Create(new MoeOptions { Parallel = { Tensor = tensor, Expert = expert, Devices = [.. Enumerable.Repeat("cpu", tensor * expert)] } });
        using var model = GptOssModel.Load(host, new GptOssOptions { Model = Golden.Folder, MaxContext = 64 }, cancellationToken: Cancellation);
        float[] logits = Models.AllLogits(model, Golden.Text, 20, 1, 32);
        Assert.InRange(Models.WorstRow(logits, Golden.Logits, model.Config.VocabularySize), 0, Models.Float32Error);
        Assert.Equal([MoeDevice.Cpu], model.Devices);
        Assert.Equal(tensor * expert * model.Config.LayerCount, host.Selections.Count);
    }

    [Fact]
    public async Task Ranks_that_are_processes_are_refused()
    {
        var options = new MoeOptions { Parallel = { Tensor = 2, Launcher = MoeLauncher.Torchrun, Devices = ["cpu"] } };
        (string, string)[] variables = [("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "29500")];
        foreach ((string name, string value) in variables)
        {
            Environment.SetEnvironmentVariable(name, value);
        }

        try
        {
            await using var host = MoeHost.Create(options);
            var refused = Assert.Throws<MoeException>(() => GptOssModel.Load(host, new GptOssOptions { Model = Golden.Folder }, cancellationToken: Cancellation));
            Assert.Equal(MoeReason.Configuration, refused.Reason);
            Assert.Contains("threads of one process are expected", refused.Message, StringComparison.Ordinal);
        }
        finally
        {
            Array.ForEach(variables, variable => Environment.SetEnvironmentVariable(variable.Item1, null));
        }
    }

    [Fact]
    public void Ranks_round_to_BF16_no_more_than_one_does()
    {
        using GptOssModel model = Models.Load(options => (options.TensorParallel, options.ActivationType) = (3, MoeElementType.BFloat16));
        float[] logits = new float[model.Config.VocabularySize];
        using GptOssSequence sequence = model.CreateSequence();
        model.Forward(sequence, Golden.Prompt, logits, Cancellation);
        ReadOnlySpan<float> expected = Golden.Logits.AsSpan((Golden.Prompt.Length - 1) * logits.Length, logits.Length);
        Assert.InRange(Models.WorstRow(logits, expected, logits.Length), 1e-5, 2e-2);
    }

    [Fact]
    public void More_ranks_than_the_experts_have_blocks_are_refused()
    {
        MoeException refused = Assert.Throws<MoeException>(() => Models.Load(options => options.TensorParallel = 4));
        Assert.Contains("32", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_layer_that_no_backend_runs_names_what_was_found()
    {
        await using var host = MoeHost.Create(new MoeOptions { Backend = "Cpu", Layers = { ["model.layers.1.*"] = "Nobody" } });
        MoeSelectionException refused = Assert.Throws<MoeSelectionException>(() => GptOssModel.Load(host, new GptOssOptions { Model = Sample.Folder }, cancellationToken: Cancellation));
        Assert.Contains("Nobody", refused.Message, StringComparison.Ordinal);
    }

    /// <summary>Another's host that notes which layers are asked for.</summary>
    private sealed class CountingHost(IMoeHost inner, List<string> asked) : IMoeHost
    {
        public IReadOnlyList<MoePluginInfo> Plugins => inner.Plugins;

        public IReadOnlyList<MoeSelectionReport> Selections => inner.Selections;

        public IReadOnlyList<string> LostDevices => inner.LostDevices;

        public MoeSelectionReport Explain(MoeLayerRequest request) => inner.Explain(request);

        public IMoeLayer CreateLayer(MoeLayerRequest request, MoeWeightSource weights, IProgress<double>? progress, CancellationToken cancellationToken)
        {
            asked.Add(request.Name);
            return inner.CreateLayer(request, weights, progress, cancellationToken);
        }

        public Task<IMoeLayer> CreateLayerAsync(
            MoeLayerRequest request, MoeWeightSource weights, IProgress<double>? progress, CancellationToken cancellationToken) =>
            inner.CreateLayerAsync(request, weights, progress, cancellationToken);

        public MoeRanks Ranks => inner.Ranks;

        public IMoeGroup CreateGroup(MoeGroupRequest request, string? backend) => inner.CreateGroup(request, backend);

        public IMoeGroup CreateGroupFor(MoeLayerRequest layer, string? backend) => inner.CreateGroupFor(layer, backend);

        public Task<MoeReloadReport> ReloadAsync(string id, CancellationToken cancellationToken) => inner.ReloadAsync(id, cancellationToken);

        public Task<IReadOnlyList<MoeReloadReport>> ReloadChangedAsync(CancellationToken cancellationToken) => inner.ReloadChangedAsync(cancellationToken);
    }
}
