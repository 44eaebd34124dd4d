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
            Tensors.Add(tensor.Name, new Tensor(tensor.Type, [.. tensor.Shape], Copy(file.GetAddress(tensor), tensor.ByteCount)));
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
        var writer = new SafetensorsWriter();
        foreach ((string name, Tensor tensor) in Tensors)
        {
            writer.Add(name, tensor.Type, tensor.Shape, tensor.Data);
        }

        writer.Save(Path.Combine(Folder, "model.safetensors"));
        File.WriteAllText(Path.Combine(Folder, "config.json"), Config.ToJsonString());
        return Folder;
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    private static unsafe byte[] Copy(nint address, long count) => new ReadOnlySpan<byte>((void*)address, (int)count).ToArray();

    internal sealed record Tensor(SafetensorsType Type, long[] Shape, byte[] Data);
}
