namespace Moe.Plugins.Checkpoints;

/// <summary>What a quantisation did.</summary>
/// <param name="Layers">Each layer's name and ‖stored − rounded‖ ÷ ‖stored‖ over its experts' weights.</param>
/// <param name="ByteCount">Bytes of all tensors that the folder has.</param>
public sealed record QuantizationReport(IReadOnlyList<(string Layer, double RelativeError)> Layers, long ByteCount);
