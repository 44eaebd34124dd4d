using System.Collections.Concurrent;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Marlin.Tests;

/// <summary>The hosts that the tests share, one for each choice of kernels, and what they say of the backend here.</summary>
internal static class MarlinHost
{
    public const string Id = "Mxfp4.Marlin";

    /// <summary>The kernels that the backend chooses itself.</summary>
    public const string Auto = "auto";

    private static readonly ConcurrentDictionary<string, MoeHost> Hosts = new();

    public static MoeHost Shared => With(Auto);

    public static TheoryData<string> EveryChoice => [Auto, .. Mxfp4Variant.All.Select(variant => variant.ToString())];

    public static MoeHost With(string kernels) => Hosts.GetOrAdd(kernels, static name =>
    {
        var options = new MoeOptions { Backend = Id };
        if (name != Auto)
        {
            options.Plugins[Id] = new Dictionary<string, string> { ["Kernels"] = name };
        }

        return MoeHost.Create(options);
    });

    /// <summary>The backend as the host loaded it.</summary>
    public static MoeCandidate Candidate(MoeLayerShape shape) =>
        Shared.Explain(new MoeLayerRequest { Shape = shape }).Candidates.Single(candidate => candidate.Id == Id);

    /// <summary>Skips a test, with the backend's own reason, where there is no device for it.</summary>
    public static void RequireDevice()
    {
        MoeCandidate candidate = Candidate(MoeLayerShape.GptOss20B);
        Assert.SkipUnless(candidate.Device is not null, $"needs a CUDA device: {candidate.Message}");
    }

    /// <summary>Makes a layer; skips the test where the device cannot run the kernels that are asked for.</summary>
    public static MoeLayer CreateLayer(MoeLayerShape shape, MoeWeightSource source, int maxTokens, string kernels = Auto)
    {
        try
        {
            return With(kernels).CreateLayer(
                new MoeLayerRequest { Shape = shape, Options = new MoeLayerOptions { MaxTokens = maxTokens } }, source);
        }
        catch (MoeException exception) when (exception.Reason == MoeReason.Configuration)
        {
            Assert.Skip(exception.Message);
            throw;
        }
    }
}
