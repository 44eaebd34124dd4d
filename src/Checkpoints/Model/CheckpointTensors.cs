using System.Diagnostics.CodeAnalysis;

namespace Moe.Plugins.Checkpoints;

/// <summary>All tensors of a checkpoint under one roof, whichever file each is in.</summary>
internal sealed class CheckpointTensors : IDisposable
{
    private readonly List<SafetensorsFile> _files = [];

    /// <summary>Of several files; of one its own list is enough.</summary>
    private readonly Dictionary<string, (SafetensorsFile File, SafetensorsTensor Tensor)>? _places;

    private CheckpointTensors(bool hasShards) => _places = hasShards ? new(StringComparer.Ordinal) : null;

    public IReadOnlyList<SafetensorsFile> Files => _files;

    public IEnumerable<string> Names => _places is null ? _files[0].Tensors.Keys : _places.Keys;

    /// <summary>Opens one file.</summary>
    public static CheckpointTensors OpenFile(string path)
    {
        var tensors = new CheckpointTensors(hasShards: false);
        tensors._files.Add(SafetensorsFile.Open(path));
        return tensors;
    }

    /// <summary>Opens the files that an index names, and checks that each has the tensors that the index places in it.</summary>
    public static CheckpointTensors OpenShards(string indexPath)
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(indexPath))!;
        var tensors = new CheckpointTensors(hasShards: true);
        try
        {
            var shards = new Dictionary<string, Shard>(StringComparer.Ordinal);
            var shardOf = shards.GetAlternateLookup<ReadOnlySpan<char>>();
            ShardIndex.Read(indexPath, (name, file) =>
            {
                if (!shardOf.TryGetValue(file, out Shard? shard))
                {
                    shard = new Shard(SafetensorsFile.Open(Path.Combine(folder, file.ToString())));
                    tensors._files.Add(shard.File);
                    shards.Add(file.ToString(), shard);
                }

                tensors.Add(indexPath, name, shard);
            });
            tensors._files.Sort((a, b) => string.CompareOrdinal(a.Path, b.Path));
            return tensors;
        }
        catch
        {
            tensors.Dispose();
            throw;
        }
    }

    public bool TryGet(string name, [NotNullWhen(true)] out SafetensorsFile? file, [NotNullWhen(true)] out SafetensorsTensor? tensor)
    {
        if (_places is null)
        {
            file = _files[0];
            return file.TryGetTensor(name, out tensor);
        }

        bool isFound = _places.TryGetValue(name, out var place);
        (file, tensor) = place;
        return isFound;
    }

    public void Dispose()
    {
        foreach (SafetensorsFile file in _files)
        {
            file.Dispose();
        }
    }

    private void Add(string indexPath, ReadOnlySpan<char> name, Shard shard)
    {
        // The name is looked up as it was read: the file has it as a string already.
        if (!shard.Tensors.TryGetValue(name, out SafetensorsTensor? tensor))
        {
            throw new MoeException(
                MoeReason.Checkpoint,
                $"'{PlainText.Of(indexPath)}' places tensor '{PlainText.Of(name.ToString())}' in '{PlainText.Of(Path.GetFileName(shard.File.Path))}', "
                + "and that file has no such tensor.");
        }

        if (!_places!.TryAdd(tensor.Name, (shard.File, tensor)))
        {
            throw new MoeException(
                MoeReason.Checkpoint, $"'{PlainText.Of(indexPath)}' is not valid JSON: it has '{PlainText.Of(tensor.Name)}' twice.");
        }
    }

    private sealed class Shard(SafetensorsFile file)
    {
        public SafetensorsFile File => file;

        public Dictionary<string, SafetensorsTensor>.AlternateLookup<ReadOnlySpan<char>> Tensors { get; } =
            file.Lookup.GetAlternateLookup<ReadOnlySpan<char>>();
    }
}
