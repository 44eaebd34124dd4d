namespace Moe.Plugins.Bf16.Tests;

public sealed class ProbeTests
{
    [Fact]
    public void Nothing_is_padded_and_both_ends_are_the_callers()
    {
        MoeCandidate candidate = Bf16.Host.Candidate(MoeLayerShape.GptOss20B);

        Assert.Equal((2880, 2880), (candidate.HiddenSize, candidate.IntermediateSize));
        Assert.True(candidate.SupportsSkipForwardPadding);
        Assert.True(candidate.HasUnpaddedOutput);
    }

    [Fact]
    public void Without_a_device_there_is_a_reason_and_no_crash()
    {
        MoeCandidate candidate = Bf16.Host.Candidate(MoeLayerShape.GptOss20B);

        Assert.SkipUnless(candidate.Device is null, "there is a device here");
        Assert.Equal(MoeReason.NoDevice, candidate.Reason);
        Assert.Contains("CUDA", candidate.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Sizes_that_its_loads_cannot_read_are_refused()
    {
        MoeLayerShape shape = MoeLayerShape.GptOss20B with { HiddenSize = 2884, WeightFormat = MoeWeightFormat.BFloat16 };

        MoeCandidate candidate = Bf16.Host.Candidate(shape);

        Assert.Equal(MoeReason.Shape, candidate.Reason);
        Assert.Contains("multiples of 8", candidate.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_cpu_is_not_its_device()
    {
        MoeSelectionReport report = Bf16.Host.Shared.Explain(new MoeLayerRequest { Shape = MoeLayerShape.GptOss20B, Device = MoeDevice.Cpu });

        Assert.Null(report.Selected);
        Assert.Contains("cpu was asked for", report.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_is_not_there_is_named()
    {
        Bf16.Host.RequireDevice();

        MoeSelectionReport report = Bf16.Host.Shared.Explain(
            new MoeLayerRequest { Shape = MoeLayerShape.GptOss20B, Device = MoeDevice.Cuda(77) });

        Assert.Null(report.Selected);
        Assert.Contains("77", report.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_context_that_is_no_address_is_refused_and_named()
    {
        var options = new MoeOptions { Backend = Bf16.Host.Id, Trial = MoeTrialMode.InProcess };
        options.Plugins[Bf16.Host.Id] = new Dictionary<string, string> { ["Context"] = "0x7f00" };
        await using MoeHost host = MoeHost.Create(options);

        MoeSelectionReport report = host.Explain(new MoeLayerRequest { Shape = MoeLayerShape.GptOss20B });

        Assert.Null(report.Selected);
        Assert.Contains("MoeOptions.Plugins:Bf16:Context is '0x7f00'; a CUcontext's address", report.ToString(), StringComparison.Ordinal);
    }
}
