using System.Text.Json.Nodes;
using Moe.Plugins.Cuda;
using Moe.Plugins.GptOss.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>What runs where, what does not fit, and what is given back.</summary>
public sealed class PlaceTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public void Layers_on_the_processor_run_beside_those_on_the_device()
    {
        var settings = new MoeOptions();
        settings.Layers["model.layers.1.*"] = "Cpu";
        settings.Layers["model.layers.2.*"] = "Cpu";
        using MoeHost host = MoeHost.Create(settings);
        using GptOssModel model = GpuModels.Load(host: host);
        Assert.Equal(
            [MoeDevice.Cuda(0), MoeDevice.Cpu, MoeDevice.Cpu, MoeDevice.Cuda(0)],
            model.ExpertSelections.Select(selection => selection.Selected!.Device ?? MoeDevice.Cpu));
        float[] logits = Models.AllLogits(model, Golden.Text, 40, 1, 1, 1, Golden.Text.Length - 43);
        Assert.InRange(Models.WorstRow(logits, Golden.Logits, logits.Length), 1e-5, GpuModels.TinyError);
        Assert.Equal(0, GpuModels.EngineOf(model).GraphCount);
    }

    [Fact]
    public void What_does_not_fit_is_said_before_anything_is_read()
    {
        GpuModels.RequireDevice();
        var exception = Assert.Throws<MoeException>(() => GpuModels.Load(options => options.MaxContext = 2_000_000_000));
        Assert.Equal(MoeReason.OutOfMemory, exception.Reason);
        Assert.Contains("with a context of 2000000000", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("head_dim", 48, "The head size is 48; 32 or 64 is expected")]
    [InlineData("num_attention_heads", 6, "3 query heads share a key-value head")]
    public void Sizes_without_kernels_are_said(string key, int value, string message)
    {
        JsonObject config = JsonNode.Parse(File.ReadAllText(Path.Combine(Golden.Folder, "config.json")))!.AsObject();
        config[key] = value;
        DirectoryInfo folder = Directory.CreateTempSubdirectory("gpt-oss-cuda-");
        try
        {
            string file = Path.Combine(folder.FullName, "config.json");
            File.WriteAllText(file, config.ToJsonString());
            var exception = Assert.Throws<MoeException>(() => CudaPlatform.Check(GptOssConfig.Read(file), new GptOssOptions().UseCuda(), GpuModels.Plan(1)));
            Assert.Contains(message, exception.Message, StringComparison.Ordinal);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void Float32_is_refused()
    {
        GptOssOptions options = new GptOssOptions().UseCuda();
        options.CacheType = MoeElementType.Float32;
        var exception = Assert.Throws<MoeException>(() => CudaPlatform.Check(GptOssConfig.GptOss20B, options, GpuModels.Plan(1)));
        Assert.Contains("CacheType is Float32; BFloat16 is expected", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_device_the_reason_is_said()
    {
        Assert.SkipWhen(CudaDriver.TryLoad(out string? reason), "there is a device");
        var exception = Assert.Throws<MoeException>(() => GptOssModel.Load(
            Models.Host, new GptOssOptions { Model = Golden.Folder }.UseCuda(), cancellationToken: Cancellation));
        Assert.Equal(MoeReason.NoDevice, exception.Reason);
        Assert.Contains(reason, exception.Message, StringComparison.Ordinal);
    }

    /// <summary>Cancelled somewhere, or not at all: the text is what it was before, or what it is after, and goes on.</summary>
    [Fact]
    public async Task A_cancelled_forward_leaves_the_text_as_it_was()
    {
        using GptOssModel model = GpuModels.Load(options => options.ChunkTokens = 4);
        using GptOssSequence sequence = model.CreateSequence();
        int vocabulary = model.Config.VocabularySize, cancelled = 0;
        float[] logits = new float[vocabulary];
        model.Forward(sequence, Golden.Text.AsMemory(0, 10), logits, Cancellation);
        for (int attempt = 0; attempt < 20; attempt++)
        {
            using var source = new CancellationTokenSource();
            Task cancelling = Task.Run(async () =>
            {
                await Task.Delay(attempt / 4, Cancellation);
                await source.CancelAsync();
            }, Cancellation);
            try
            {
                model.Forward(sequence, Golden.Text.AsMemory(10), logits, source.Token);
                sequence.Truncate(10);
            }
            catch (OperationCanceledException)
            {
                cancelled++;
            }

            await cancelling;
            Assert.Equal(10, sequence.Length);
        }

        Assert.InRange(cancelled, 1, 20);
        float[] all = new float[(Golden.Text.Length - 10) * vocabulary];
        model.ForwardBatch([new GptOssInput { Sequence = sequence, Tokens = Golden.Text.AsMemory(10), WantsAllLogits = true }], all, Cancellation);
        Assert.InRange(Models.WorstRow(all, Golden.Logits.AsSpan(10 * vocabulary), all.Length), 1e-5, GpuModels.TinyError);
    }
}
