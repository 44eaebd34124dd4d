using Moe.Plugins;

namespace Fixtures;

/// <summary>A method that rounds to 256 and 128 and can do nothing else.</summary>
internal sealed class FixtureMethod : IMoeQuantMethod
{
    public MoeNumerics Numerics { get; } = new() { RelativeError = 0, Description = "none" };

    public IMoeMemory Memory => throw new MoeException(MoeReason.NoDevice, "A fixture has no memory.");

    public int RoundUpHiddenSize(int hiddenSize) => (hiddenSize + 255) / 256 * 256;

    public int RoundUpIntermediateSize(int intermediateSize) => (intermediateSize + 127) / 128 * 128;

    public IMoeWeights CreateWeights(
        MoeLayerConfig config,
        MoeWeightSource source,
        IProgress<double>? progress = null,
        CancellationToken cancellationToken = default) =>
        throw new MoeException(MoeReason.OutOfMemory, "A fixture makes no weights.");

    public void Dispose()
    {
    }
}
