using System.Globalization;

namespace Moe.Plugins.Checkpoints;

/// <summary>What a quantised checkpoint will have: a shard for each layer's experts, and one for what is left of each file.</summary>
internal sealed class QuantizationPlan
{
    private QuantizationPlan(IReadOnlyList<QuantizedShard> shards) => Shards = shards;

    public IReadOnlyList<QuantizedShard> Shards { get; }

    public long ByteCount => Shards.Sum(shard => shard.ByteCount);

    /// <summary>Names of the matrices that stay as they are: what a config lists as not quantised.</summary>
    public IEnumerable<string> OtherModules => Shards
        .Where(shard => shard.Layer is null)
        .SelectMany(shard => shard.Tensors)
        .Where(tensor => tensor.Shape.Count == 2 && tensor.Name.EndsWith(".weight", StringComparison.Ordinal))
        .Select(tensor => tensor.Name[..^".weight".Length])
        .Order(StringComparer.Ordinal);

    /// <summary>Plans.</summary>
    /// <exception cref="MoeException">A layer is quantised to four bits already, or its sizes are no multiples of 32.</exception>
    public static QuantizationPlan Create(Checkpoint checkpoint)
    {
        var experts = new HashSet<string>(StringComparer.Ordinal);
        var layers = new List<(CheckpointLayer Layer, List<QuantizedShard.Tensor> Tensors)>();
        string[] names = [.. checkpoint.Files.SelectMany(file => file.Tensors.Keys)];
        foreach (CheckpointLayer layer in checkpoint.MoeLayers)
        {
            Require(layer);
            MoeFamily family = MoeFamilies.All.First(known => known.Name == layer.Family);
            experts.UnionWith(names.Where(name => name.StartsWith(layer.Name + ".", StringComparison.Ordinal)
                && LayerFinder.IsExpert(name.AsSpan(layer.Name.Length + 1), family)));
            layers.Add((layer, [.. TensorsOf(layer, ExpertMatrixNames.Of(layer, experts))]));
        }

        var others = checkpoint.Files
            .Select(file => file.Tensors.Values
                .Where(tensor => !experts.Contains(tensor.Name) && checkpoint.Has(file, tensor.Name))
                .OrderBy(tensor => tensor.Offset)
                .Select(tensor => new QuantizedShard.Tensor(tensor.Name, tensor.TypeName, tensor.Shape, tensor.ByteCount, file))
                .ToList())
            .Where(tensors => tensors.Count > 0)
            .ToList();
        int count = others.Count + layers.Count;
        string Name(int index) => string.Create(CultureInfo.InvariantCulture, $"model-{index + 1:00000}-of-{count:00000}.safetensors");
        return new QuantizationPlan(
        [
            .. others.Select((tensors, i) => new QuantizedShard(Name(i), null, tensors)),
            .. layers.Select((layer, i) => new QuantizedShard(Name(others.Count + i), layer.Layer, layer.Tensors)),
        ]);
    }

    private static IEnumerable<QuantizedShard.Tensor> TensorsOf(CheckpointLayer layer, ExpertMatrixNames names)
    {
        (int inputs, int width) = (layer.Shape.ExpertHiddenSize, layer.Shape.IntermediateSize);
        for (int expert = 0; expert < layer.Shape.ExpertCount; expert++)
        {
            string start = string.Create(CultureInfo.InvariantCulture, $"{layer.Name}.experts.{expert}");
            (string Name, int Rows, int Columns)[] matrices = layer.Shape.Activation.IsGated
                ? [(names.Gate, width, inputs), (names.Up, width, inputs), (names.Down, inputs, width)]
                : [(names.Up, width, inputs), (names.Down, inputs, width)];
            foreach ((string name, int rows, int columns) in matrices)
            {
                yield return new($"{start}.{name}.weight_packed", "U8", [rows, columns / 2], (long)rows * columns / 2);
                yield return new($"{start}.{name}.weight_scale", "U8", [rows, columns / 32], (long)rows * columns / 32);
                if (layer.Shape.HasExpertBias)
                {
                    MoeStoredTensor bias = (name == names.Down ? layer.Source.Down : layer.Source.GateUp).Bias!;
                    yield return new($"{start}.{name}.bias", ExpertBias.TypeName(bias.ElementType), [rows], (long)rows * bias.ElementType.ByteSize());
                }
            }
        }
    }

    private static void Require(CheckpointLayer layer)
    {
        MoeLayerShape shape = layer.Shape;
        if (shape.WeightFormat is MoeWeightFormat.Mxfp4 or MoeWeightFormat.Nvfp4)
        {
            throw new MoeException(
                MoeReason.Configuration, $"Layer '{PlainText.Of(layer.Name)}' is {shape.WeightFormat} already; BF16, FP16, FP32 or FP8 is expected.");
        }

        if (shape.ExpertHiddenSize % MoeExpertReader.Mxfp4Block != 0 || shape.IntermediateSize % MoeExpertReader.Mxfp4Block != 0)
        {
            throw new MoeException(
                MoeReason.Configuration,
                $"Layer '{PlainText.Of(layer.Name)}' has experts of {shape.ExpertHiddenSize} inputs and width {shape.IntermediateSize}; MXFP4 has blocks of 32, so multiples of 32 are expected.");
        }
    }
}

/// <summary>Names of an expert's matrices: its own where experts are stored apart, else the usual ones.</summary>
/// <param name="Gate">The gate.</param>
/// <param name="Up">Up.</param>
/// <param name="Down">Down.</param>
internal sealed record ExpertMatrixNames(string Gate, string Up, string Down)
{
    public static ExpertMatrixNames Of(CheckpointLayer layer, IReadOnlySet<string> names) =>
        names.Contains($"{layer.Name}.experts.0.w1.weight") ? new("w1", "w3", "w2") : new("gate_proj", "up_proj", "down_proj");
}
