namespace Moe.Plugins.Cpu;

/// <summary>The CPU's method: nothing is padded, so both capabilities hold for any layer.</summary>
internal sealed class CpuMethod(CpuTeam team, MoeProbeRequest request) : IMoeQuantMethod
{
    public bool SupportsSkipForwardPadding => true;

    public bool HasUnpaddedOutput => true;

    public MoeNumerics Numerics { get; } = request.OutputType == MoeElementType.Float32
        ? new() { RelativeError = 2e-5, Description = "float32 activations and sums, router in float64", IsDeterministic = true }
        : new() { RelativeError = 4e-3, Description = "float32 activations and sums, router in float64, output rounded to BF16", IsDeterministic = true };

    public IMoeMemory Memory => MoeHostMemory.Instance;

    public int RoundUpHiddenSize(int hiddenSize) => hiddenSize;

    public int RoundUpIntermediateSize(int intermediateSize) => intermediateSize;

    public IMoeWeights CreateWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
        CpuWeights.Load(config, source, team, progress, cancellationToken);

    public void Dispose()
    {
        // The threads are the backend's.
    }
}
