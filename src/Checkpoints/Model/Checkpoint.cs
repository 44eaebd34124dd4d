using System.Diagnostics.CodeAnalysis;

namespace Moe.Plugins.Checkpoints;

/// <summary>A model's weights on disk: one safetensors file, or a folder as Hugging Face lays it out.</summary>
/// <remarks>Thread-safe but for Dispose, after which nothing of its layers can be read.</remarks>
public sealed class Checkpoint : IDisposable
{
    private const string SingleFileName = "model.safetensors";
    private const string ConfigFileName = "config.json";

    /// <summary>Where ModelOpt says what it did, beside the config.</summary>
    private const string ModelOptFileName = "hf_quant_config.json";

    private readonly CheckpointTensors _tensors;

    private Checkpoint(string path, CheckpointTensors tensors, ModelConfig config, IReadOnlyList<CheckpointLayer> layers)
    {
        Path = path;
        _tensors = tensors;
        ModelType = config.ModelTypes.Count == 0 ? null : config.ModelTypes[0];
        MoeLayers = layers;
    }

    /// <summary>The file or folder that was opened.</summary>
    public string Path { get; }

    /// <summary>What the model says it is (<c>model_type</c>), its language model where it has several; null where it does not say.</summary>
    public string? ModelType { get; }

    /// <summary>Its safetensors files.</summary>
    public IReadOnlyList<SafetensorsFile> Files => _tensors.Files;

    /// <summary>Its mixture-of-experts layers in order; empty where it has no tensors of experts.</summary>
    public IReadOnlyList<CheckpointLayer> MoeLayers { get; }

    /// <summary>Names of the families whose layers are read.</summary>
    public static IReadOnlyList<string> Families { get; } = [.. MoeFamilies.All.Select(family => family.Name)];

    /// <summary>Opens a checkpoint.</summary>
    /// <param name="path">
    /// A safetensors file, or a folder with <c>model.safetensors</c> or <c>model.safetensors.index.json</c> and its shards. A
    /// <c>config.json</c> beside them is read, unless a single file states its own top-k in its metadata.
    /// </param>
    /// <param name="options">What the caller knows, for what the checkpoint does not say; may be null.</param>
    /// <exception cref="MoeException">
    /// A file is missing or malformed, what one says contradicts another, or the experts are of a model or in a format that is not read.
    /// </exception>
    public static Checkpoint Open(string path, CheckpointOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        options?.Validate(nameof(options));
        bool isFolder = Directory.Exists(path);
        CheckpointTensors tensors = isFolder ? OpenFolder(path) : CheckpointTensors.OpenFile(path);
        try
        {
            string folder = isFolder ? path : System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!;
            var config = ModelConfig.Read(DescribesItself(isFolder, tensors) ? null : Existing(folder, ConfigFileName), tensors.Files);
            var quantization = QuantizationConfig.Read(config, Existing(folder, ModelOptFileName));
            var model = new ModelStatements(config, quantization, options ?? new CheckpointOptions());
            return new Checkpoint(path, tensors, config, LayersOf(path, tensors, model));
        }
        catch
        {
            tensors.Dispose();
            throw;
        }
    }

    /// <summary>Looks a tensor up in all files.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="tensor">The tensor, which can be read until Dispose.</param>
    /// <returns>Whether the checkpoint has a tensor of that name.</returns>
    /// <exception cref="MoeException">It has one, of a type or size that the contract has not.</exception>
    public bool TryGetTensor(string name, [NotNullWhen(true)] out MoeStoredTensor? tensor)
    {
        ArgumentNullException.ThrowIfNull(name);
        bool isFound = _tensors.TryGet(name, out SafetensorsFile? file, out SafetensorsTensor? described);
        tensor = isFound ? file!.GetTensor(described!) : null;
        return isFound;
    }

    /// <summary>Whether a file's tensor is the model's: an index may place the name in another file, or nowhere.</summary>
    internal bool Has(SafetensorsFile file, string name) => _tensors.TryGet(name, out SafetensorsFile? place, out _) && ReferenceEquals(place, file);

    /// <summary>Reads a whole tensor into memory of its own, which outlives the checkpoint.</summary>
    /// <param name="name">Its name.</param>
    /// <exception cref="MoeException">There is none of that name, it is of a type that the contract has not, or it cannot be read.</exception>
    public MoeBuffer ReadTensor(string name)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        return TryGetTensor(name, out MoeStoredTensor? tensor)
            ? MoeBuffer.OnHost(tensor)
            : throw new MoeException(MoeReason.Checkpoint, $"'{PlainText.Of(Path)}' has no tensor '{PlainText.Of(name)}'.");
    }

    /// <inheritdoc/>
    public void Dispose() => _tensors.Dispose();

    private static IReadOnlyList<CheckpointLayer> LayersOf(string path, CheckpointTensors tensors, ModelStatements model)
    {
        IReadOnlyList<string> types = model.Config.ModelTypes;
        MoeFamily? family = types.Count == 0 ? MoeFamilies.ByNames : MoeFamilies.Find(types);
        List<LayerFinder.Found> found = family is null ? [] : LayerFinder.Find(tensors.Names, family, LayerCount(model.Config));
        if (found.Count > 0 && !(types.Count == 0 && !found.Exists(IsGptOss)))
        {
            return [.. found.Select(layer => LayerReader.Read(family!, layer, tensors, model))];
        }

        string[] experts = [.. tensors.Names.Where(LayerFinder.LooksLikeExpert)];
        return experts.Length == 0 ? [] : throw new MoeException(MoeReason.Checkpoint, UnknownModel.Describe(path, types, family, experts));
    }

    // Without a config, names alone tell: nobody else's experts have these.
    private static bool IsGptOss(LayerFinder.Found layer) => layer.Tensors.Exists(name =>
        name.EndsWith("_blocks", StringComparison.Ordinal) || name.EndsWith("_proj_bias", StringComparison.Ordinal)
        || name.Contains(".mlp1_weight.", StringComparison.Ordinal));

    private static int? LayerCount(ModelConfig config) =>
        config.Find(-1, "num_hidden_layers").Select(value => (int?)value.Whole(1)).FirstOrDefault()
        ?? config.List("layers_block_type")?.GetArrayLength()
        ?? config.Find(-1, "hybrid_override_pattern").Select(value => (int?)value.Text.Length).FirstOrDefault();

    private static CheckpointTensors OpenFolder(string folder)
    {
        string single = System.IO.Path.Combine(folder, SingleFileName);
        string index = System.IO.Path.Combine(folder, ShardIndex.FileName);
        if (FileKinds.Of(single, followLinks: true) != FileKind.Nothing)
        {
            return CheckpointTensors.OpenFile(single);
        }

        return FileKinds.Of(index, followLinks: true) != FileKind.Nothing
            ? CheckpointTensors.OpenShards(index)
            : throw new MoeException(
                MoeReason.NotFound, $"'{PlainText.Of(folder)}' has neither {SingleFileName} nor {ShardIndex.FileName}.");
    }

    // A file that describes itself may lie beside another model's config.json.
    private static bool DescribesItself(bool isFolder, CheckpointTensors tensors) =>
        !isFolder && tensors.Files[0].Metadata is var own && (own.ContainsKey("num_experts_per_tok") || own.ContainsKey("experts_per_token"));

    private static string? Existing(string folder, string name)
    {
        string path = System.IO.Path.Combine(folder, name);
        return FileKinds.Of(path, followLinks: true) == FileKind.Nothing ? null : path;
    }
}
