using System.Collections.Concurrent;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>The hosts that the tests share, by the value of the setting <c>Native</c>, and what they say of the backend here.</summary>
internal static class Sm100Host
{
    public const string Id = "Mxfp4.Sm100";

    private static readonly ConcurrentDictionary<string, MoeHost> Hosts = new();

    /// <summary>One that runs whatever the device can: the tests are where somebody may see the native kernels run.</summary>
    public static MoeHost Shared => With("true");

    public static MoeHost With(string native) => Hosts.GetOrAdd(native, static value =>
    {
        var options = new MoeOptions { Backend = Id };
        options.Plugins[Id] = new Dictionary<string, string> { ["Native"] = value };
        return MoeHost.Create(options);
    });

    /// <summary>The backend as the host loaded it.</summary>
    public static MoeCandidate Candidate(MoeLayerShape shape) =>
        Shared.Explain(new MoeLayerRequest { Shape = shape }).Candidates.Single(candidate => candidate.Id == Id);

    /// <summary>Skips a test, with the backend's own reason, where there is no device for it.</summary>
    public static void RequireDevice()
    {
        MoeCandidate candidate = Candidate(MoeLayerShape.GptOss20B);
        Assert.SkipUnless(candidate.Device is not null, $"needs a CUDA device that it has products for: {candidate.Message}");
    }

    public static MoeLayer CreateLayer(MoeLayerShape shape, MoeWeightSource source, int maxTokens) =>
        Shared.CreateLayer(new MoeLayerRequest { Shape = shape, Options = new MoeLayerOptions { MaxTokens = maxTokens } }, source);
}
