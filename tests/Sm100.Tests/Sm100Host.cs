using System.Collections.Concurrent;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>The hosts that the tests share, by the values of the settings <c>Native</c> and <c>Kernels</c>, and what they say of the backend here.</summary>
internal static class Sm100Host
{
    public const string Id = "Mxfp4.Sm100";

    /// <summary>The kernels that the backend chooses itself.</summary>
    public const string Auto = "auto";

    private static readonly ConcurrentDictionary<(string Native, string Kernels), MoeHost> Hosts = new();

    /// <summary>One that runs whatever the device can: the tests are where somebody may see the native kernels run.</summary>
    public static MoeHost Shared => With("true");

    public static TheoryData<string> EveryChoice => [Auto, .. Mxfp4Variant.All.Select(variant => variant.ToString())];

    /// <summary>A host; a choice of kernels is one among those that every device may have, which are not the native ones.</summary>
    public static MoeHost With(string native, string kernels = Auto) => Hosts.GetOrAdd((native, kernels), static values =>
    {
        var options = new MoeOptions { Backend = Id };
        var settings = new Dictionary<string, string> { ["Native"] = values.Native };
        if (values.Kernels != Auto)
        {
            settings["Kernels"] = values.Kernels;
        }

        options.Plugins[Id] = settings;
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
    public static MoeLayer CreateLayer(
        MoeLayerShape shape, MoeWeightSource source, int maxTokens, string kernels = Auto, IMoeDispatcher? dispatcher = null)
    {
        try
        {
            MoeHost host = With(kernels == Auto ? "true" : "false", kernels);
            var options = new MoeLayerOptions { MaxTokens = maxTokens, Dispatcher = dispatcher };
            return host.CreateLayer(new MoeLayerRequest { Shape = shape, Options = options }, source);
        }
        catch (MoeException exception) when (exception.Reason == MoeReason.Configuration)
        {
            Assert.Skip(exception.Message);
            throw;
        }
    }
}
