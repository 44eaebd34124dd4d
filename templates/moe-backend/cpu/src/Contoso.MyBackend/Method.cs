using Moe.Plugins;

namespace Contoso.MyBackend;

/// <summary>How this backend runs a layer. It pads nothing, so it takes and writes the caller's own widths.</summary>
internal sealed class Method : IMoeQuantMethod
{
    public bool SupportsSkipForwardPadding => true;

    public bool HasUnpaddedOutput => true;

    public MoeNumerics Numerics { get; } = new()
    {
        RelativeError = 5e-3,
        Description = "float32 throughout, rounded once to the output's type",
        IsDeterministic = true,
    };

    // On a device: an IMoeMemory of your own, with its allocator, copies and streams.
    public IMoeMemory Memory => MoeHostMemory.Instance;

    // A backend whose kernels want multiples of something rounds here, and nowhere else.
    public int RoundUpHiddenSize(int hiddenSize) => hiddenSize;

    public int RoundUpIntermediateSize(int intermediateSize) => intermediateSize;

    public IMoeWeights CreateWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress = null, CancellationToken cancellationToken = default) =>
        new Weights(config, source, cancellationToken);

    public void Dispose()
    {
        // Nothing is held but what weights and workspaces hold.
    }
}
