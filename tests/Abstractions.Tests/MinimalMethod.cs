namespace Moe.Plugins.Abstractions.Tests;

/// <summary>What an author writes who overrides nothing: its capabilities are the contract's defaults.</summary>
internal sealed class MinimalMethod(int alignment) : IMoeQuantMethod
{
    public MoeNumerics Numerics { get; } = new() { RelativeError = 1e-3, Description = "none" };

    public IMoeMemory Memory => throw new NotSupportedException();

    public int RoundUpHiddenSize(int hiddenSize) => (hiddenSize + alignment - 1) / alignment * alignment;

    public int RoundUpIntermediateSize(int intermediateSize) => RoundUpHiddenSize(intermediateSize);

    public IMoeWeights CreateWeights(
        MoeLayerConfig config, MoeWeightSource source, IProgress<double>? progress, CancellationToken cancellationToken) =>
        throw new NotSupportedException();

    public IMoeWorkspace CreateWorkspace(MoeLayerConfig config) => throw new NotSupportedException();

    public void Forward(MoeForwardArguments arguments) => throw new NotSupportedException();

    public void Dispose()
    {
    }
}
