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
        _names = checkpoint.TryGetView(TensorNames.Original.Embedding, out _) ? TensorNames.Original : TensorNames.Published;
        Embedding = Matrix(_names.Embedding, config.VocabularySize, config.HiddenSize);
        FinalNorm = Vector(_names.FinalNorm, config.HiddenSize);
        Head = Matrix(_names.Head, config.VocabularySize, config.HiddenSize);
        Layers = [.. Enumerable.Range(0, config.LayerCount).Select(ReadLayer)];
        RefuseUnknown();
    }

    /// <summary>[vocabulary, hidden] BF16.</summary>
    public MoeTensorView Embedding { get; }

    /// <summary>[hidden].</summary>
    public MoeTensorView FinalNorm { get; }

    /// <summary>[vocabulary, hidden] BF16.</summary>
    public MoeTensorView Head { get; }

    public IReadOnlyList<LayerTensors> Layers { get; }

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
        (MoeLayerShape shape, MoeWeightSource source) = _names == TensorNames.Original ? ReadOriginalExperts(layer) : ReadPublishedExperts(layer);
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
        return new ExpertTensors { Name = $"{TensorNames.Published.Layer}{layer}.mlp", Shape = shape, Source = source };
    }

    private (MoeLayerShape Shape, MoeWeightSource Source) ReadPublishedExperts(int layer)
    {
        string name = $"{_names.Layer}{layer}.mlp";
        CheckpointLayer found = _checkpoint.MoeLayers.FirstOrDefault(candidate => candidate.Name == name)
            ?? throw Error($"tensor '{_names.Of(layer, _names.GateUp.Blocks)}' is missing");
        return (found.Shape, found.Source);
    }

    private (MoeLayerShape Shape, MoeWeightSource Source) ReadOriginalExperts(int layer)
    {
        var shape = new MoeLayerShape
        {
            HiddenSize = _config.HiddenSize,
            IntermediateSize = _config.IntermediateSize,
            ExpertCount = _config.ExpertCount,
            TopK = _config.TopK,
            WeightFormat = MoeWeightFormat.Mxfp4,
            Activation = MoeActivation.SwiGluOai(limit: _config.SwiGluLimit),
        };
        MoeExpertMatrix Read(TensorNames.ExpertNames names, int outputs, int inputs) => new()
        {
            Values = View(_names.Of(layer, names.Blocks), MoeElementType.UInt8, _config.ExpertCount, outputs, inputs / 2),
            Scales = View(_names.Of(layer, names.Scales), MoeElementType.UInt8, _config.ExpertCount, outputs, inputs / 32),
            Bias = Matrix(_names.Of(layer, names.Bias), _config.ExpertCount, outputs),
        };
        var source = new MoeWeightSource
        {
            RouterWeight = Matrix($"{_names.Of(layer, _names.Router)}.weight", _config.ExpertCount, _config.HiddenSize),
            RouterBias = Vector($"{_names.Of(layer, _names.Router)}.bias", _config.ExpertCount),
            GateUp = Read(_names.GateUp, 2 * _config.IntermediateSize, _config.HiddenSize),
            Down = Read(_names.Down, _config.HiddenSize, _config.IntermediateSize),
        };
        return (shape, source);
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

    private MoeTensorView Matrix(string name, int rows, int columns) => View(name, MoeElementType.BFloat16, 1, rows, columns);

    /// <summary>BF16 or float32.</summary>
    private MoeTensorView Vector(string name, int size) => View(name, type: null, 1, 1, size);

    private MoeTensorView View(string name, MoeElementType? type, int planes, int rows, int columns)
    {
        if (!_checkpoint.TryGetView(name, out MoeTensorView view))
        {
            throw Error($"tensor '{name}' is missing");
        }

        _used.Add(name);
        bool hasType = type is null ? view.ElementType is MoeElementType.BFloat16 or MoeElementType.Float32 : view.ElementType == type;
        return hasType && (view.Planes, view.Rows, view.Columns) == (planes, rows, columns)
            ? view
            : throw Error(
                $"tensor '{name}' is {view.ElementType} [{view.Planes}, {view.Rows}, {view.Columns}]; "
                + $"{type ?? MoeElementType.BFloat16} [{planes}, {rows}, {columns}] is expected by config.json");
    }

    private void RefuseUnknown()
    {
        string[] unknown = [.. _checkpoint.Files.SelectMany(file => file.Tensors.Keys).Where(name => !_used.Contains(name)).Order(StringComparer.Ordinal)];
        if (unknown.Length > 0)
        {
            throw Error($"it has {unknown.Length} tensors that no GPT-OSS of {_config.LayerCount} layers has, the first '{unknown[0]}'");
        }
    }

    private MoeException Error(string what) => new(MoeReason.Checkpoint, $"'{_checkpoint.Path}' is no GPT-OSS checkpoint: {what}.");
}
