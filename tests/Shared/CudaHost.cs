using System.Collections.Concurrent;

namespace Moe.Plugins.Tests;

/// <summary>The hosts that the tests of one CUDA backend share, by their settings, and what they say of the backend here.</summary>
/// <param name="id">The backend.</param>
/// <param name="settings">Settings where the backend chooses the kernels itself.</param>
internal sealed class CudaHost(string id, params IReadOnlyList<(string Name, string Value)> settings)
{
    /// <summary>The kernels that the backend chooses itself.</summary>
    public const string Auto = "auto";

    private readonly ConcurrentDictionary<string, MoeHost> _hosts = new();

    public string Id => id;

    public MoeHost Shared => With(Auto);

    public IMoeBackend Backend => Shared.FindBackend(id)!;

    /// <summary>A host whose backend runs one variant of kernels alone.</summary>
    public MoeHost With(string kernels) =>
        kernels == Auto ? WithSettings(settings) : WithSettings([("Kernels", kernels)]);

    public MoeHost WithSettings(params IReadOnlyList<(string Name, string Value)> values) => _hosts.GetOrAdd(string.Join(' ', values), _ =>
    {
        var options = new MoeOptions { Backend = id };
        options.Plugins[id] = values.ToDictionary(value => value.Name, value => value.Value);
        return MoeHost.Create(options);
    });

    /// <summary>The backend as the host loaded it.</summary>
    public MoeCandidate Candidate(MoeLayerShape shape) =>
        Shared.Explain(new MoeLayerRequest { Shape = shape }).Candidates.Single(candidate => candidate.Id == id);

    /// <summary>Skips a test, with the backend's own reason, where there is no device for it.</summary>
    public void RequireDevice()
    {
        MoeCandidate candidate = Candidate(MoeLayerShape.GptOss20B);
        Assert.SkipUnless(candidate.Device is not null, $"needs a CUDA device: {candidate.Message}");
    }

    /// <summary>Makes a layer; skips the test where the device cannot run the kernels that are asked for.</summary>
    public MoeLayer CreateLayer(MoeLayerShape shape, MoeWeightSource source, int maxTokens, string kernels = Auto) =>
        CreateLayer(shape, source, new MoeLayerOptions { MaxTokens = maxTokens }, kernels);

    public MoeLayer CreateLayer(MoeLayerShape shape, MoeWeightSource source, MoeLayerOptions options, string kernels = Auto)
    {
        try
        {
            return With(kernels).CreateLayer(new MoeLayerRequest { Shape = shape, Options = options }, source);
        }
        catch (MoeException exception) when (exception.Reason == MoeReason.Configuration)
        {
            Assert.Skip(exception.Message);
            throw;
        }
    }
}
