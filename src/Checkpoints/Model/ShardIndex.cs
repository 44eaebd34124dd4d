using System.Text.Json;

namespace Moe.Plugins.Checkpoints;

/// <summary>Reads <c>model.safetensors.index.json</c>: which of several files (shards) holds which tensor.</summary>
internal static class ShardIndex
{
    public const string FileName = "model.safetensors.index.json";

    /// <summary>Tensor names with the shard of each.</summary>
    /// <exception cref="MoeException">The index is malformed, or names a file outside of its own folder.</exception>
    public static Dictionary<string, string> Read(string path) => CheckpointJson.Read(path, index => ReadMap(path, index));

    private static Dictionary<string, string> ReadMap(string path, JsonElement index)
    {
        if (!index.TryGetProperty("weight_map", out JsonElement map) || map.ValueKind != JsonValueKind.Object)
        {
            throw new MoeException(MoeReason.Checkpoint, $"'{path}' has no object weight_map, which says the file of each tensor.");
        }

        var shards = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (JsonProperty entry in map.EnumerateObject())
        {
            string shard = entry.Value.ValueKind == JsonValueKind.String ? entry.Value.GetString()! : "";
            if (!IsPlainFileName(shard))
            {
                throw new MoeException(
                    MoeReason.Checkpoint,
                    $"'{path}' places tensor '{entry.Name}' in '{shard}'; the plain name of a file beside the index is expected.");
            }

            shards.Add(entry.Name, shard);
        }

        return shards;
    }

    /// <summary>An index comes from a download: a name in it must not lead out of the folder, on any operating system.</summary>
    private static bool IsPlainFileName(string name) =>
        name.Length > 0 && name is not ("." or "..") && name.AsSpan().IndexOfAny("/\\:\0") < 0;
}
