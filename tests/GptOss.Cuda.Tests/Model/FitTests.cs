using Moe.Plugins.GptOss.Tests;
using Moe.Plugins.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>What does not fit into the devices' memory is said before anything is read: on any machine, with a driver of its own.</summary>
public sealed class FitTests : IDisposable
{
    private readonly FakeLibraries _libraries = new();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task What_does_not_fit_is_said_before_anything_is_read(int ranks)
    {
        if (OwnProcess.Told is null)
        {
            await OwnProcess.RunAsync(nameof(What_does_not_fit_is_said_before_anything_is_read), $"{ranks}", _libraries.WithDevice().SearchPath);
            return;
        }

        if (OwnProcess.Told != $"{ranks}")
        {
            return;
        }

        FakeDevice.Free(100L << 20);
        using var host = MoeHost.Create(new MoeOptions());
        GptOssOptions options = new GptOssOptions { Model = Golden.Folder, MaxContext = 1024 }.UseCuda([.. GpuModels.Plan(ranks).Devices]);
        var exception = Assert.Throws<MoeException>(() => GptOssModel.Load(host, options, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(MoeReason.OutOfMemory, exception.Reason);
        Assert.Matches(@"needs 0\.\d GB of cuda:0's memory with a context of 1024, and 0\.1 GB are free\.", exception.Message);
        Assert.Equal((0, 0), (FakeDevice.Count().MostPinned, FakeDevice.Count().Device));
    }

    /// <summary>What models of the real sizes need of each device, in GB: weights, a context of 8192, and forwards of 2048 tokens.</summary>
    [Theory]
    [InlineData(false, 1, 14.5, 15.5)]
    [InlineData(false, 4, 4.0, 5.0)]
    [InlineData(true, 1, 65.5, 67.5)]
    [InlineData(true, 4, 17.0, 18.0)]
    public void Of_several_ranks_each_needs_its_share(bool isLarge, int ranks, double least, double most)
    {
        GptOssConfig config = isLarge ? GptOssConfig.GptOss120B : GptOssConfig.GptOss20B;
        GptOssOptions options = new GptOssOptions { MaxContext = 8192 }.UseCuda();
        long experts = config.LayerCount * config.ExpertCount * 3L * config.HiddenSize * config.IntermediateSize / 32 * 17;
        for (int rank = 0; rank < ranks; rank++)
        {
            Assert.InRange(MemoryNeed.Of(new ModelShare(config, rank, ranks).Config, options, experts / ranks) / 1e9, least, most);
        }
    }

    public void Dispose() => _libraries.Dispose();
}
