namespace Moe.Plugins.Bf16.Tests;

/// <summary>The host that the tests share, and what it says of the backend here.</summary>
internal static class Bf16Host
{
    public const string Id = "Bf16";

    public static MoeHost Shared { get; } = MoeHost.Create(new MoeOptions { Backend = Id });

    /// <summary>The backend as the host loaded it.</summary>
    public static MoeCandidate Candidate(MoeLayerShape shape) =>
        Shared.Explain(new MoeLayerRequest { Shape = shape }).Candidates.Single(candidate => candidate.Id == Id);

    /// <summary>Skips a test, with the backend's own reason, where there is no device for it.</summary>
    public static void RequireDevice()
    {
        MoeCandidate candidate = Candidate(MoeLayerShape.GptOss20B);
        Assert.SkipUnless(candidate.Device is not null, $"needs a CUDA device: {candidate.Message}");
    }

    public static MoeLayer CreateLayer(MoeLayerShape shape, MoeWeightSource source, MoeLayerOptions options) =>
        Shared.CreateLayer(new MoeLayerRequest { Shape = shape, Options = options }, source);
}
