namespace Moe.Plugins.Cpu;

/// <summary>The CPU's method: nothing is padded, so both capabilities hold for any layer.</summary>
internal sealed class CpuMethod(CpuTeam team, MoeProbeRequest request) : IMoeQuantMethod
{
    private const string Sums = "float32 activations and sums, of 20 bits in blocks of 32 where MXFP4 is multiplied as integers; router in float64";

    public bool SupportsSkipForwardPadding => true;

    public bool HasUnpaddedOutput => true;

    public MoeNumerics Numerics { get; } = request.OutputType == MoeElementType.Float32
        ? new() { RelativeError = 2e-5, Description = Sums, IsDeterministic = true }
        : new() { RelativeError = 4e-3, Description = $"{Sums}, output rounded to BF16", IsDeterministic = true };

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
