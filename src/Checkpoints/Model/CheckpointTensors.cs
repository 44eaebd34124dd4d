using System.Diagnostics.CodeAnalysis;

namespace Moe.Plugins.Checkpoints;

/// <summary>All tensors of a checkpoint under one roof, whichever file each is in.</summary>
internal sealed class CheckpointTensors : IDisposable
{
    private readonly Dictionary<string, SafetensorsFile> _fileOf = new(StringComparer.Ordinal);
    private readonly List<SafetensorsFile> _files = [];

    private CheckpointTensors()
    {
    }

    public IReadOnlyList<SafetensorsFile> Files => _files;

    public IEnumerable<string> Names => _fileOf.Keys;

    /// <summary>Opens one file.</summary>
    public static CheckpointTensors OpenFile(string path)
    {
        var file = SafetensorsFile.Open(path);
        var tensors = new CheckpointTensors();
        tensors._files.Add(file);
        foreach (string name in file.Tensors.Keys)
        {
            tensors._fileOf.Add(name, file);
        }

        return tensors;
    }

    /// <summary>Opens the files that an index names, and checks that each has the tensors that the index places in it.</summary>
    public static CheckpointTensors OpenShards(string indexPath)
    {
        Dictionary<string, string> shards = ShardIndex.Read(indexPath);
        string folder = Path.GetDirectoryName(Path.GetFullPath(indexPath))!;
        var tensors = new CheckpointTensors();
        try
        {
            var files = new Dictionary<string, SafetensorsFile>(StringComparer.Ordinal);
            foreach (string shard in shards.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))
            {
                var file = SafetensorsFile.Open(Path.Combine(folder, shard));
                tensors._files.Add(file);
                files.Add(shard, file);
            }

            foreach ((string name, string shard) in shards)
            {
                if (!files[shard].Tensors.ContainsKey(name))
                {
                    throw new MoeException(
                        MoeReason.Checkpoint,
                        $"'{indexPath}' places tensor '{name}' in '{shard}', and that file has no such tensor.");
                }

                tensors._fileOf.Add(name, files[shard]);
            }

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
        tensor = null;
        return _fileOf.TryGetValue(name, out file) && file.TryGetTensor(name, out tensor);
    }

    public void Dispose()
    {
        foreach (SafetensorsFile file in _files)
        {
            file.Dispose();
        }
    }
}
