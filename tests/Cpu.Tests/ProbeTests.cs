namespace Moe.Plugins.Cpu.Tests;

/// <summary>What the backend answers before any layer is made.</summary>
public sealed class ProbeTests
{
    [Fact]
    public void The_message_says_how_many_threads_there_are()
    {
        using MoeHost one = CpuHost.Create("1");
        using MoeHost three = CpuHost.Create("3");
        Assert.EndsWith(", 1 thread", CpuHost.Explain(one).Message, StringComparison.Ordinal);
        Assert.EndsWith(", 3 threads", CpuHost.Explain(three).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_GPU_is_refused()
    {
        MoeCandidate candidate = CpuHost.Explain(CpuHost.Shared, MoeDevice.Cuda(1));
        Assert.False(candidate.IsEligible);
        Assert.Equal(MoeReason.NoDevice, candidate.Reason);
        Assert.Contains("cuda:1", candidate.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("-2")]
    [InlineData("1025")]
    [InlineData("many")]
    [InlineData("")]
    public void A_number_of_threads_that_is_none_is_named(string threads)
    {
        using MoeHost host = CpuHost.Create(threads);
        MoeCandidate candidate = CpuHost.Explain(host);
        Assert.False(candidate.IsEligible);
        Assert.Equal(MoeReason.Configuration, candidate.Reason);
        Assert.Contains($"MoeOptions.Plugins:Cpu:Threads is '{threads}'; 1 to 1024 is expected.", candidate.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("0;")]
    [InlineData("0-;1")]
    [InlineData("3-1")]
    [InlineData("0-1000000")]
    [InlineData("first")]
    public void Nodes_that_are_none_are_named(string nodes)
    {
        using MoeHost host = CpuHost.Create(nodes: nodes);
        MoeCandidate candidate = CpuHost.Explain(host);
        Assert.Equal(MoeReason.Configuration, candidate.Reason);
        Assert.Contains($"MoeOptions.Plugins:Cpu:Nodes is '{nodes}'; the processors of each NUMA node, such as '0-31;32-63', are expected", candidate.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_is_padded()
    {
        MoeCandidate candidate = CpuHost.Explain(CpuHost.Shared);
        Assert.Equal(MoeDevice.Cpu, candidate.Device);
        Assert.NotEqual("", candidate.DeviceName);
        using var random = new Conformance.RandomLayer(new MoeLayerShape { HiddenSize = 96, IntermediateSize = 160, ExpertCount = 2, TopK = 1 }, seed: 1);
        using var layer = new CpuLayer(random.Shape, random.Source);
        Assert.Equal((96, 160), (layer.Layer.Config.HiddenSize, layer.Layer.Config.IntermediateSize));
        Assert.False(layer.Layer.Config.HostPadsInput || layer.Layer.Config.HostSlicesOutput);
    }
}
