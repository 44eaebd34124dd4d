namespace Moe.Plugins.Checkpoints;

/// <summary>A safetensors file of the result, known tensor by tensor before any of it is written.</summary>
/// <param name="FileName">Its name.</param>
/// <param name="Layer">The layer whose experts it has; null where it has copies of other tensors.</param>
/// <param name="Tensors">Its tensors in order.</param>
internal sealed record QuantizedShard(string FileName, CheckpointLayer? Layer, IReadOnlyList<QuantizedShard.Tensor> Tensors)
{
    /// <summary>What every writer of PyTorch's says.</summary>
    private static readonly KeyValuePair<string, string>[] Metadata = [new("format", "pt")];

    /// <summary>One tensor.</summary>
    /// <param name="Name">Its name.</param>
    /// <param name="Type">Its type's name.</param>
    /// <param name="Shape">Its sizes.</param>
    /// <param name="ByteCount">Its bytes.</param>
    /// <param name="File">Where it is copied from; null where it is computed.</param>
    public sealed record Tensor(string Name, string Type, IReadOnlyList<long> Shape, long ByteCount, SafetensorsFile? File = null);

    public long ByteCount => Tensors.Sum(tensor => tensor.ByteCount);

    /// <summary>Writes what comes before the tensors' bytes.</summary>
    public void WriteHeader(Stream stream) => SafetensorsHeaderWriter.Write(
        stream, Metadata, Tensors.Select(tensor => (tensor.Name, tensor.Type, tensor.Shape, tensor.ByteCount)));
}
