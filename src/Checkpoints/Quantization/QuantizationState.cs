using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Moe.Plugins.Checkpoints;

/// <summary>
/// What of a quantisation is done, in a file of the folder that it writes: by it a run that was ended goes on, and by it the folder is known to
/// be this command's.
/// </summary>
internal sealed class QuantizationState
{
    /// <summary>Its name. It stays, as the report of what rounding cost.</summary>
    public const string FileName = "moe-quantize.json";

    private readonly string _path;
    private readonly JsonObject _values;

    private QuantizationState(string path, JsonObject values)
    {
        _path = path;
        _values = values;
    }

    private JsonObject Done => _values["done"]!.AsObject();

    /// <summary>Takes a folder over that is new, empty, or this command's own of the same model and options.</summary>
    /// <exception cref="MoeException">It holds something else.</exception>
    public static QuantizationState Open(string folder, Checkpoint checkpoint, bool searches)
    {
        var expected = new JsonObject
        {
            ["format"] = 1,
            ["to"] = "mxfp4",
            ["scales"] = searches ? "search" : "ocp",
            ["source"] = new JsonArray([.. checkpoint.Files.Select(Describe)]),
        };
        string path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
        {
            if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any())
            {
                throw new MoeException(
                    MoeReason.Configuration,
                    $"'{PlainText.Of(folder)}' holds something else; a new or empty folder, or one that this command has begun, is expected.");
            }

            Directory.CreateDirectory(folder);
            expected["done"] = new JsonObject();
            var state = new QuantizationState(path, expected);
            state.Save();
            return state;
        }

        JsonObject found = JsonNode.Parse(JsonFile.Read(path).GetRawText())!.AsObject();
        JsonNode? done = found["done"];
        found.Remove("done");
        return done is JsonObject && JsonNode.DeepEquals(found, expected)
            ? new QuantizationState(path, (JsonObject)JsonNode.Parse(JsonFile.Read(path).GetRawText())!)
            : throw new MoeException(
                MoeReason.Configuration,
                $"'{PlainText.Of(folder)}' was begun with another model, another state of its files, or other options; a new or empty folder is expected.");
    }

    /// <summary>What the rounding of a shard cost, if it is done.</summary>
    public MoeRoundingSums? Find(QuantizedShard shard) =>
        Done[shard.FileName] is JsonObject done && File.Exists(Path.Combine(Path.GetDirectoryName(_path)!, shard.FileName))
            ? new MoeRoundingSums(Number(done, "error_squares"), Number(done, "squares"))
            : null;

    /// <summary>Notes that a shard is whole.</summary>
    public void Add(QuantizedShard shard, MoeRoundingSums sums)
    {
        var done = new JsonObject();
        if (shard.Layer is not null)
        {
            done["layer"] = shard.Layer.Name;
            done["relative_error"] = sums.RelativeError;
        }

        done["error_squares"] = sums.ErrorSquares;
        done["squares"] = sums.Squares;
        Done[shard.FileName] = done;
        Save();
    }

    private void Save() => WholeFile.Write(_path, _values.ToJsonString(QuantizedConfig.Indented));

    private static double Number(JsonObject values, string name) =>
        values[name] is JsonValue value && value.GetValueKind() == JsonValueKind.Number ? value.GetValue<double>() : 0;

    private static JsonNode Describe(SafetensorsFile file)
    {
        var info = new FileInfo(file.Path);
        return new JsonObject
        {
            ["file"] = info.Name,
            ["bytes"] = info.Length,
            ["written"] = info.LastWriteTimeUtc.ToString("O", CultureInfo.InvariantCulture),
        };
    }
}
