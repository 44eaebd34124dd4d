namespace Moe.Plugins.Marlin.Tests;

public sealed class ProbeTests
{
    [Fact]
    public void Sizes_are_rounded_by_its_rule_and_the_host_copies_nothing()
    {
        MoeCandidate candidate = Marlin.Host.Candidate(MoeLayerShape.GptOss20B);

        Assert.Equal((3072, 2944), (candidate.HiddenSize, candidate.IntermediateSize));
        Assert.True(candidate.SupportsSkipForwardPadding);
        Assert.True(candidate.HasUnpaddedOutput);
    }

    [Fact]
    public void Without_a_device_there_is_a_reason_and_no_crash()
    {
        MoeCandidate candidate = Marlin.Host.Candidate(MoeLayerShape.GptOss20B);

        Assert.SkipUnless(candidate.Device is null, "there is a device here");
        Assert.Equal(MoeReason.NoDevice, candidate.Reason);
        Assert.Contains("CUDA", candidate.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bf16_weights_are_refused()
    {
        MoeCandidate candidate = Marlin.Host.Candidate(MoeLayerShape.GptOss20B with { WeightFormat = MoeWeightFormat.BFloat16 });

        Assert.Equal(MoeReason.Shape, candidate.Reason);
        Assert.Contains("only MXFP4", candidate.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_choice_of_kernels_that_there_is_not_is_an_error_that_names_the_others()
    {
        MoeSelectionReport report = Marlin.Host.With("warp9").Explain(new MoeLayerRequest { Shape = MoeLayerShape.GptOss20B });

        Assert.Null(report.Selected);
        Assert.Contains("'warp9'", report.ToString(), StringComparison.Ordinal);
        Assert.Contains("grouped144x192", report.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Auto_prefers_it_for_MXFP4_and_says_why()
    {
        Marlin.Host.RequireDevice();
        MoeHost host = MoeHost.Create(new MoeOptions());

        MoeSelectionReport report = host.Explain(new MoeLayerRequest { Shape = MoeLayerShape.GptOss20B });

        Assert.Equal(Marlin.Host.Id, report.Selected?.Id);
        Assert.Contains("the least there is to read", report.ToString(), StringComparison.Ordinal);
    }
}
