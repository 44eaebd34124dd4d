using System.Text.Json.Nodes;
using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.GptOss.Tests;

/// <summary>The tiny model's tensors, to be changed and written to a folder of their own, which is gone after the test.</summary>
internal sealed class TinyCheckpoint : IDisposable
{
    public TinyCheckpoint()
    {
        Folder = Directory.CreateTempSubdirectory("gpt-oss-").FullName;
        Config = JsonNode.Parse(File.ReadAllText(Path.Combine(Golden.Folder, "config.json")))!.AsObject();
        using var file = SafetensorsFile.Open(Path.Combine(Golden.Folder, "model.safetensors"));
        foreach (SafetensorsTensor tensor in file.Tensors.Values)
        {
            Tensors.Add(tensor.Name, new Tensor(tensor.Type, [.. tensor.Shape], Copy(file.GetTensor(tensor))));
        }
    }

    public string Folder { get; }

    public JsonObject Config { get; set; }

    public SortedDictionary<string, Tensor> Tensors { get; } = new(StringComparer.Ordinal);

    public Tensor this[string name] => Tensors[name];

    /// <summary>Takes a tensor out.</summary>
    public Tensor Take(string name)
    {
        Tensor tensor = Tensors[name];
        Tensors.Remove(name);
        return tensor;
    }

    /// <summary>Writes it.</summary>
    /// <returns>The folder.</returns>
    public string Save()
    {
        Write("model.safetensors", Tensors);
        File.WriteAllText(Path.Combine(Folder, "config.json"), Config.ToJsonString());
        return Folder;
    }

    /// <summary>Writes it in several files, named as the published ones: the number after "of" is the last file's own.</summary>
    /// <returns>The folder.</returns>
    public string SaveShards(int count)
    {
        var places = new JsonObject();
        KeyValuePair<string, Tensor>[][] shards = [.. Tensors.Chunk((Tensors.Count + count - 1) / count)];
        for (int shard = 0; shard < shards.Length; shard++)
        {
            string file = $"model-{shard:00000}-of-{shards.Length - 1:00000}.safetensors";
            Write(file, shards[shard]);
            Array.ForEach(shards[shard], tensor => places.Add(tensor.Key, file));
        }

        File.WriteAllText(Path.Combine(Folder, "model.safetensors.index.json"), new JsonObject { ["weight_map"] = places }.ToJsonString());
        File.WriteAllText(Path.Combine(Folder, "config.json"), Config.ToJsonString());
        return Folder;
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    private void Write(string file, IEnumerable<KeyValuePair<string, Tensor>> tensors)
    {
        var writer = new SafetensorsWriter();
        foreach ((string name, Tensor tensor) in tensors)
        {
            writer.Add(name, tensor.Type, tensor.Shape, tensor.Data);
        }

        writer.Save(Path.Combine(Folder, file));
    }

    private static byte[] Copy(MoeStoredTensor tensor)
    {
        using MoeBuffer buffer = MoeBuffer.OnHost(tensor);
        byte[] bytes = new byte[buffer.ByteCount];
        buffer.CopyToBytes(bytes);
        return bytes;
    }

    internal sealed record Tensor(SafetensorsType Type, long[] Shape, byte[] Data);
}
