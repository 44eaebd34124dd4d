using Moe.Plugins.Checkpoints;
using Moe.Plugins.GptOss.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>How a model is cut over ranks: their shares, put together, are the whole.</summary>
public sealed class ShareTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    public void Shares_put_together_are_the_whole(int count)
    {
        using var files = new RandomCheckpoint();
        var config = GptOssConfig.Read(Path.Combine(files.Folder, "config.json"));
        using var checkpoint = Checkpoint.Open(files.Folder);
        var tensors = new ModelTensors(checkpoint, config);
        ModelShare[] shares = [.. Enumerable.Range(0, count).Select(rank => new ModelShare(config, rank, count))];
        Assert.Equal(config.HeadCount, shares.Sum(share => share.Config.HeadCount));
        Assert.Equal(config.KeyValueHeadCount, shares.Sum(share => share.Config.KeyValueHeadCount));
        Assert.All(shares, share => Assert.Equal(config.GroupSize, share.Config.GroupSize));
        Assert.Equal(config.VocabularySize, shares.Sum(share => share.Config.VocabularySize));
        Assert.All(shares, share => Assert.Equal(0, share.FirstToken % 32));
        Assert.Equal(tensors.Head.ToSingles(), shares.SelectMany(share => share.OfVocabulary(tensors.Head).ToSingles()));

        LayerTensors layer = tensors.Layers[1];
        LayerTensors[] parts = [.. shares.Select(share => share.Of(layer))];
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(layer.QueryKeyValue[i].Weight.ToSingles(), parts.SelectMany(part => part.QueryKeyValue[i].Weight.ToSingles()));
            Assert.Equal(layer.QueryKeyValue[i].Bias!.ToSingles(), parts.SelectMany(part => part.QueryKeyValue[i].Bias!.ToSingles()));
        }

        Assert.Equal(layer.Sinks.ToSingles(), parts.SelectMany(part => part.Sinks.ToSingles()));
        float[][] columns = [.. parts.Select(part => part.Output.Weight.ToSingles())];
        int each = parts[0].Output.Weight.Columns;
        float[] whole = layer.Output.Weight.ToSingles();
        Assert.Equal(layer.Output.Weight.Columns, count * each);
        for (int i = 0; i < whole.Length; i++)
        {
            int row = i / (count * each), column = i % (count * each);
            Assert.Equal(whole[i], columns[column / each][(row * each) + (column % each)]);
        }

        Assert.Equal(layer.Output.Bias!.ToSingles(), parts[0].Output.Bias!.ToSingles());
        Assert.All(parts[1..], part => Assert.Null(part.Output.Bias));
    }

    /// <summary>A vocabulary that is no multiple: the last has the rest.</summary>
    [Fact]
    public void The_last_share_of_a_vocabulary_has_the_rest()
    {
        ModelShare[] shares = [.. Enumerable.Range(0, 4).Select(rank => new ModelShare(GptOssConfig.GptOss20B with { VocabularySize = 1000 }, rank, 4))];
        Assert.Equal([256, 256, 256, 232], shares.Select(share => share.Config.VocabularySize));
        Assert.Equal([0, 256, 512, 768], shares.Select(share => share.FirstToken));
    }

    [Theory]
    [InlineData(3, 201088, "8 key-value heads cannot be shared out evenly among 3 GPUs")]
    [InlineData(16, 201088, "8 key-value heads cannot be shared out evenly among 16 GPUs")]
    [InlineData(8, 200, "A vocabulary of 200 leaves nothing to the last of 8 GPUs")]
    public void What_cannot_be_shared_is_said(int ranks, int vocabulary, string message)
    {
        var exception = Assert.Throws<MoeException>(
            () => CudaPlatform.Check(GptOssConfig.GptOss20B with { VocabularySize = vocabulary }, new GptOssOptions().UseCuda(), GpuModels.Plan(ranks)));
        Assert.Equal(MoeReason.Configuration, exception.Reason);
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Ranks_that_share_a_GPU_are_refused()
    {
        RankPlan plan = new([MoeDevice.Cuda(0), MoeDevice.Cuda(1), MoeDevice.Cuda(0), MoeDevice.Cuda(2)], 4, 1);
        var exception = Assert.Throws<MoeException>(() => CudaPlatform.Check(GptOssConfig.GptOss20B, new GptOssOptions().UseCuda(plan.Devices), plan));
        Assert.Contains("The ranks are on cuda:0, cuda:1, cuda:0, cuda:2; a GPU of its own is expected", exception.Message, StringComparison.Ordinal);
        CudaPlatform.Check(GptOssConfig.GptOss20B, new GptOssOptions().UseCuda(GpuModels.Plan(4).Devices), GpuModels.Plan(4));
    }

    [Fact]
    public void As_many_devices_as_ranks_are_expected()
    {
        MoeDevice[] two = [MoeDevice.Cuda(0), MoeDevice.Cuda(1)];
        GptOssOptions options = new GptOssOptions { Model = Golden.Folder, TensorParallel = 4 }.UseCuda(two);
        var exception = Assert.Throws<MoeException>(() => GptOssModel.Load(Models.Host, options, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Contains("TensorParallel is 4, and 2 devices are named", exception.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => options.UseCuda([MoeDevice.Cpu]));
        Assert.Throws<ArgumentException>(() => options.UseCuda([]));
    }
}
