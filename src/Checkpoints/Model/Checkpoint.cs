namespace Moe.Plugins.Checkpoints;

/// <summary>A model's weights on disk: one safetensors file, or a folder as Hugging Face lays it out.</summary>
/// <remarks>Thread-safe but for Dispose, after which all views of its layers are invalid.</remarks>
public sealed class Checkpoint : IDisposable
{
    private const string SingleFileName = "model.safetensors";
    private const string ConfigFileName = "config.json";

    private readonly CheckpointTensors _tensors;

    private Checkpoint(string path, CheckpointTensors tensors, ModelSettings settings)
    {
        Path = path;
        _tensors = tensors;
        MoeLayers =
        [
            .. FindLayers(tensors)
                .OrderBy(layer => layer.Index)
                .ThenBy(layer => layer.Name, StringComparer.Ordinal)
                .Select(layer => GptOssLayerReader.Read(tensors, layer, settings)),
        ];
    }

    /// <summary>The file or folder that was opened.</summary>
    public string Path { get; }

    /// <summary>Its safetensors files.</summary>
    public IReadOnlyList<SafetensorsFile> Files => _tensors.Files;

    /// <summary>Its mixture-of-experts layers in order; empty where it has none in GPT-OSS's naming.</summary>
    public IReadOnlyList<CheckpointLayer> MoeLayers { get; }

    /// <summary>Opens a checkpoint.</summary>
    /// <param name="path">
    /// A safetensors file, or a folder with <c>model.safetensors</c> or <c>model.safetensors.index.json</c> and its shards. A
    /// <c>config.json</c> beside them is read, unless a single file states its own top-k in its metadata.
    /// </param>
    /// <param name="options">What the caller knows, for what the checkpoint does not say; may be null.</param>
    /// <exception cref="MoeException">A file is missing or malformed, or what one says contradicts another.</exception>
    public static Checkpoint Open(string path, CheckpointOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        bool isFolder = Directory.Exists(path);
        CheckpointTensors tensors = isFolder ? OpenFolder(path) : CheckpointTensors.OpenFile(path);
        try
        {
            var settings = new ModelSettings(ReadSettings(path, isFolder, tensors), options ?? new CheckpointOptions());
            return new Checkpoint(path, tensors, settings);
        }
        catch
        {
            tensors.Dispose();
            throw;
        }
    }

    /// <summary>Looks a tensor up in all files; the view is valid until Dispose.</summary>
    /// <returns>Whether the checkpoint has a tensor of that name.</returns>
    /// <exception cref="MoeException">It has one, of a type or size that the contract has not.</exception>
    public bool TryGetView(string name, out MoeTensorView view)
    {
        view = default;
        if (!_tensors.TryGet(name, out SafetensorsFile? file, out SafetensorsTensor? tensor))
        {
            return false;
        }

        view = file.GetView(tensor);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose() => _tensors.Dispose();

    private static CheckpointTensors OpenFolder(string folder)
    {
        string single = System.IO.Path.Combine(folder, SingleFileName);
        string index = System.IO.Path.Combine(folder, ShardIndex.FileName);
        if (File.Exists(single))
        {
            return CheckpointTensors.OpenFile(single);
        }

        return File.Exists(index)
            ? CheckpointTensors.OpenShards(index)
            : throw new MoeException(MoeReason.NotFound, $"'{folder}' has neither {SingleFileName} nor {ShardIndex.FileName}.");
    }

    private static List<CheckpointSettings> ReadSettings(string path, bool isFolder, CheckpointTensors tensors)
    {
        var settings = tensors.Files.Where(file => file.Metadata.Count > 0).Select(CheckpointSettings.FromMetadata).ToList();
        string folder = isFolder ? path : System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!;
        string config = System.IO.Path.Combine(folder, ConfigFileName);

        // A file that describes itself may lie beside another model's config.json.
        bool describesItself = !isFolder && settings.Any(own => own.Size("num_experts_per_tok", "experts_per_token") is not null);
        if (!describesItself && File.Exists(config))
        {
            settings.Insert(0, CheckpointSettings.FromConfig(config));
        }

        return settings;
    }

    private static HashSet<MoeLayerName> FindLayers(CheckpointTensors tensors)
    {
        var layers = new HashSet<MoeLayerName>();
        foreach (string name in tensors.Names)
        {
            if (MoeLayerName.TryParse(name, out MoeLayerName layer) && GptOssLayerReader.IsExpertWeight(name, layer))
            {
                layers.Add(layer);
            }
        }

        return layers;
    }
}
