namespace Moe.Plugins.Sm100.Tests;

public sealed class ProbeTests
{
    [Fact]
    public void Its_layout_is_padded_and_both_ends_are_the_callers()
    {
        MoeCandidate candidate = Sm100.Host.Candidate(MoeLayerShape.GptOss20B);

        Assert.Equal((3072, 3072), (candidate.HiddenSize, candidate.IntermediateSize));
        Assert.True(candidate.SupportsSkipForwardPadding);
        Assert.True(candidate.HasUnpaddedOutput);
    }

    [Fact]
    public void Without_a_device_there_is_a_reason_and_no_crash()
    {
        MoeCandidate candidate = Sm100.Host.Candidate(MoeLayerShape.GptOss20B);

        Assert.SkipUnless(candidate.Reason == MoeReason.NoDevice, "there is a device here");
        Assert.Contains("CUDA", candidate.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bf16_weights_are_refused()
    {
        MoeCandidate candidate = Sm100.Host.Candidate(MoeLayerShape.GptOss20B with { WeightFormat = MoeWeightFormat.BFloat16 });

        Assert.Equal(MoeReason.Shape, candidate.Reason);
        Assert.Contains("only MXFP4", candidate.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_setting_that_is_neither_true_nor_false_is_an_error_that_says_so()
    {
        MoeSelectionReport report = Sm100.Host.WithSettings(("Native", "maybe")).Explain(new MoeLayerRequest { Shape = MoeLayerShape.GptOss20B });

        Assert.Null(report.Selected);
        Assert.Contains("Native is 'maybe'; true or false is expected", report.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void What_has_never_run_is_not_chosen_unasked()
    {
        MoeCandidate asked = Sm100.Host.Candidate(MoeLayerShape.GptOss20B);
        Assert.SkipUnless(asked.Device is not null && asked.Message.Contains("never run", StringComparison.Ordinal), "needs a device of compute capability 10.0 or 10.3");

        MoeCandidate unasked = Sm100.Host.WithSettings(("Native", "false")).Explain(new MoeLayerRequest { Shape = MoeLayerShape.GptOss20B }).Selected!;

        Assert.Contains("widened to BF16", unasked.Message, StringComparison.Ordinal);
        Assert.Contains("never run on hardware", unasked.Message, StringComparison.Ordinal);
        Assert.True(unasked.Score < asked.Score);
    }

    [Fact]
    public void A_choice_of_kernels_that_there_is_not_is_an_error_that_names_the_others()
    {
        MoeSelectionReport report = Sm100.Host.With("warp9").Explain(new MoeLayerRequest { Shape = MoeLayerShape.GptOss20B });

        Assert.Null(report.Selected);
        Assert.Contains("Kernels is 'warp9'", report.ToString(), StringComparison.Ordinal);
        Assert.Contains("grouped144x192", report.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Auto_prefers_BF16_activations_with_the_same_weights()
    {
        Sm100.Host.RequireDevice();
        var host = MoeHost.Create(new MoeOptions());

        MoeSelectionReport report = host.Explain(new MoeLayerRequest { Shape = MoeLayerShape.GptOss20B });

        MoeCandidate own = report.Candidates.Single(candidate => candidate.Id == Sm100.Host.Id);
        MoeCandidate marlin = report.Candidates.Single(candidate => candidate.Id == "Mxfp4.Marlin");
        Assert.Equal(marlin.Id, report.Selected?.Id);
        Assert.True(own.Score < marlin.Score);
    }
}
