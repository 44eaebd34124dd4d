using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.GptOss;

/// <summary>A checkpoint's tensors by what they are for, each held against the configuration. Every complaint names file and tensor.</summary>
internal sealed class ModelTensors
{
    private readonly Checkpoint _checkpoint;
    private readonly GptOssConfig _config;
    private readonly TensorNames _names;
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);

    public ModelTensors(Checkpoint checkpoint, GptOssConfig config)
    {
        _checkpoint = checkpoint;
        _config = config;
        _names = checkpoint.TryGetTensor(TensorNames.Original.Embedding, out _) ? TensorNames.Original : TensorNames.Published;
        Embedding = Matrix(_names.Embedding, config.VocabularySize, config.HiddenSize);
        FinalNorm = Vector(_names.FinalNorm, config.HiddenSize);
        Head = Matrix(_names.Head, config.VocabularySize, config.HiddenSize);
        LayerTensors[] stored = [.. Enumerable.Range(0, config.StoredLayerCount).Select(ReadLayer)];
        Layers = [.. Enumerable.Range(0, config.LayerCount).Select(layer => Rename(stored[layer % stored.Length], layer))];
        RefuseUnknown();
    }

    /// <summary>[vocabulary, hidden] BF16.</summary>
    public MoeStoredTensor Embedding { get; }

    /// <summary>[hidden].</summary>
    public MoeStoredTensor FinalNorm { get; }

    /// <summary>[vocabulary, hidden] BF16.</summary>
    public MoeStoredTensor Head { get; }

    public IReadOnlyList<LayerTensors> Layers { get; }

    /// <summary>Bytes of all but embedding and experts.</summary>
    public long OwnByteCount => Head.ByteCount + Layers.Sum(layer => layer.QueryKeyValue.Append(layer.Output).Sum(linear => linear.Weight.ByteCount));

    private LayerTensors ReadLayer(int layer)
    {
        int queries = _config.HeadCount * _config.HeadSize;
        int keys = _config.KeyValueHeadCount * _config.HeadSize;
        return new LayerTensors
        {
            AttentionNorm = Vector(_names.Of(layer, _names.AttentionNorm), _config.HiddenSize),
            QueryKeyValue = ReadQueryKeyValue(layer, queries, keys),
            Sinks = Vector(_names.Of(layer, _names.Sinks), _config.HeadCount),
            Output = Linear(layer, _names.Output, _config.HiddenSize, queries),
            ExpertNorm = Vector(_names.Of(layer, _names.ExpertNorm), _config.HiddenSize),
            Experts = ReadExperts(layer),
        };
    }

    private static LayerTensors Rename(LayerTensors tensors, int layer) => tensors with { Experts = tensors.Experts with { Name = ExpertsName(layer) } };

    private static string ExpertsName(int layer) => $"{TensorNames.Published.Layer}{layer}.mlp";

    private LinearTensors[] ReadQueryKeyValue(int layer, int queries, int keys)
    {
        int[] rows = [queries, keys, keys];
        if (_names.QueryKeyValue.Length == rows.Length)
        {
            return [.. rows.Select((count, i) => Linear(layer, _names.QueryKeyValue[i], count, _config.HiddenSize))];
        }

        LinearTensors all = Linear(layer, _names.QueryKeyValue[0], rows.Sum(), _config.HiddenSize);
        return [all.Rows(0, queries), all.Rows(queries, keys), all.Rows(queries + keys, keys)];
    }

    private ExpertTensors ReadExperts(int layer)
    {
        (MoeLayerShape shape, MoeWeightSource source) = FindExperts(layer);
        CheckShape(layer, shape);
        string router = _names.Of(layer, _names.Router);
        _used.UnionWith([$"{router}.weight", $"{router}.bias"]);
        foreach (TensorNames.ExpertNames matrix in (TensorNames.ExpertNames[])[_names.GateUp, _names.Down])
        {
            _used.UnionWith(((string[])[matrix.Blocks, matrix.Scales, matrix.Bias]).Select(name => _names.Of(layer, name)));
        }

        if (shape.WeightFormat == MoeWeightFormat.BFloat16)
        {
            _used.UnionWith(_names.DequantizedExperts.Select(name => _names.Of(layer, name)));
        }

        // Patterns of configuration mean the published names, whatever the file has.
        return new ExpertTensors { Name = ExpertsName(layer), Shape = shape, Source = source };
    }

    private (MoeLayerShape Shape, MoeWeightSource Source) FindExperts(int layer)
    {
        string name = $"{_names.Layer}{layer}.mlp";
        CheckpointLayer found = _checkpoint.MoeLayers.FirstOrDefault(candidate => candidate.Name == name)
            ?? throw Error($"tensor '{_names.Of(layer, _names.GateUp.Blocks)}' is missing");
        return (found.Shape, found.Source);
    }

    private void CheckShape(int layer, MoeLayerShape shape)
    {
        var found = (shape.HiddenSize, shape.IntermediateSize, shape.ExpertCount, shape.TopK, shape.Router.HasLogitBias, shape.HasExpertBias);
        var expected = (_config.HiddenSize, _config.IntermediateSize, _config.ExpertCount, _config.TopK, true, true);
        if (found != expected)
        {
            throw Error(
                $"the experts of layer {layer} have hidden, intermediate, experts, top-k, router bias, expert bias {found}; {expected} is expected");
        }
    }

    private LinearTensors Linear(int layer, string name, int outputs, int inputs) => new()
    {
        Weight = Matrix($"{_names.Of(layer, name)}.weight", outputs, inputs),
        Bias = Vector($"{_names.Of(layer, name)}.bias", outputs),
    };

    private MoeStoredTensor Matrix(string name, int rows, int columns) => Find(name, MoeElementType.BFloat16, 1, rows, columns);

    /// <summary>BF16 or float32.</summary>
    private MoeStoredTensor Vector(string name, int size) => Find(name, type: null, 1, 1, size);

    private MoeStoredTensor Find(string name, MoeElementType? type, int planes, int rows, int columns)
    {
        if (!_checkpoint.TryGetTensor(name, out MoeStoredTensor? found))
        {
            throw Error($"tensor '{name}' is missing");
        }

        _used.Add(name);
        bool hasType = type is null ? found.ElementType is MoeElementType.BFloat16 or MoeElementType.Float32 : found.ElementType == type;
        return hasType && (found.Planes, found.Rows, found.Columns) == (planes, rows, columns)
            ? found
            : throw Error(
                $"tensor '{name}' is {found.ElementType} [{found.Planes}, {found.Rows}, {found.Columns}]; "
                + $"{type ?? MoeElementType.BFloat16} [{planes}, {rows}, {columns}] is expected by config.json");
    }

    private void RefuseUnknown()
    {
        string[] unknown = [.. _checkpoint.Files.SelectMany(file => file.Tensors.Keys).Where(name => !_used.Contains(name)).Order(StringComparer.Ordinal)];
        if (unknown.Length > 0)
        {
            throw Error($"it has {unknown.Length} tensors that no GPT-OSS of {_config.StoredLayerCount} layers has, the first '{unknown[0]}'");
        }
    }

    private MoeException Error(string what) => new(MoeReason.Checkpoint, $"'{_checkpoint.Path}' is no GPT-OSS checkpoint: {what}.");
}
