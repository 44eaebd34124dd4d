using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Moe.Plugins.Checkpoints;

/// <summary>
/// What of a quantisation is done, in a file of the folder that it writes: by it a run that was ended goes on, and by it the folder is known to
/// be this command's. One process at a time has it.
/// </summary>
internal sealed class QuantizationState : IDisposable
{
    /// <summary>Its name. It stays, as the report of what rounding cost.</summary>
    public const string FileName = "moe-quantize.json";

    /// <summary>Held open by the process that writes the folder; one that was killed leaves the file, and not the lock.</summary>
    private const string LockName = ".moe-quantize.lock";

    private readonly string _path;
    private readonly JsonObject _values;
    private readonly FileStream _lock;

    private QuantizationState(string path, JsonObject values, FileStream held)
    {
        _path = path;
        _values = values;
        _lock = held;
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

        // In this order: another process may be making the file.
        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any(entry => !IsLeftOver(entry)) && !File.Exists(path))
        {
            throw new MoeException(
                MoeReason.Configuration,
                $"'{PlainText.Of(folder)}' holds something else; a new or empty folder, or one that this command has begun, is expected.");
        }

        Directory.CreateDirectory(folder);
        FileStream held = Lock(folder);
        try
        {
            foreach (string file in Directory.EnumerateFiles(folder).Where(WholeFile.IsUnfinished))
            {
                File.Delete(file);
            }

            if (!File.Exists(path))
            {
                expected["done"] = new JsonObject();
                var state = new QuantizationState(path, expected, held);
                state.Save();
                return state;
            }

            JsonObject found = JsonNode.Parse(JsonFile.Read(path).GetRawText())!.AsObject();
            JsonNode? done = found["done"];
            found.Remove("done");
            return done is JsonObject && JsonNode.DeepEquals(found, expected)
                ? new QuantizationState(path, (JsonObject)JsonNode.Parse(JsonFile.Read(path).GetRawText())!, held)
                : throw new MoeException(
                    MoeReason.Configuration,
                    $"'{PlainText.Of(folder)}' was begun with another model, another state of its files, or other options; a new or empty folder is expected.");
        }
        catch
        {
            Unlock(held);
            throw;
        }
    }

    /// <summary>Lets another process have the folder.</summary>
    public void Dispose() => Unlock(_lock);

    /// <summary>What the rounding of a shard cost, if it is done.</summary>
    public MoeRoundingSums? Find(QuantizedShard shard) =>
        Done[shard.FileName] is JsonObject done && FileOf(shard) is { Exists: true } file && file.Length == Number(done, "bytes")
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

        // A file that somebody cut short meanwhile is not whole any more.
        done["bytes"] = FileOf(shard).Length;
        done["error_squares"] = sums.ErrorSquares;
        done["squares"] = sums.Squares;
        Done[shard.FileName] = done;
        Save();
    }

    private static bool IsLeftOver(string path) => Path.GetFileName(path) == LockName || WholeFile.IsUnfinished(path);

    /// <summary>
    /// Makes a folder this process's. The lock file is opened again where whoever had the lock before deleted it between its opening and its locking here: the
    /// lock is then of a file that nobody else will ever open.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="opened">What happens elsewhere between an opening and the look at what was opened; for tests.</param>
    /// <exception cref="MoeException">Another process has it.</exception>
    internal static FileStream Lock(string folder, Action<string>? opened = null)
    {
        string path = Path.Combine(folder, LockName);
        FileKind kind = FileKinds.Of(path, followLinks: false);
        if (kind is not (FileKind.Nothing or FileKind.Regular))
        {
            throw new MoeException(MoeReason.Configuration, $"'{PlainText.Of(path)}' is {kind.Describe()}; nothing is expected there.");
        }

        // Windows deletes as it closes. Elsewhere a file that is deleted by its name may be another process's by then.
        FileOptions options = OperatingSystem.IsWindows() ? FileOptions.DeleteOnClose : FileOptions.None;
        try
        {
            while (true)
            {
                var held = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0, options);
                opened?.Invoke(path);
                if (UnixFile.TryGet(held.SafeFileHandle) is not { Names: 0 })
                {
                    return held;
                }

                held.Dispose();
            }
        }
        catch (IOException exception) when (SharingViolation.Is(exception))
        {
            throw new MoeException(MoeReason.Configuration, $"'{PlainText.Of(folder)}' is being written by another process; wait for it, or end it.", exception);
        }
    }

    // Deleted while it is locked, so that whoever has opened it already can see that it is gone; it stays where that cannot be seen, and where it cannot be
    // deleted: it is in nobody's way, and what is reported is the error before, if there was one.
    private static void Unlock(FileStream held)
    {
        using (held)
        {
            if (!OperatingSystem.IsLinux())
            {
                return;
            }

            try
            {
                File.Delete(held.Name);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
            }
        }
    }

    private FileInfo FileOf(QuantizedShard shard) => new(Path.Combine(Path.GetDirectoryName(_path)!, shard.FileName));

    private void Save() => WholeFile.Write(_path, _values.ToJsonString(QuantizedConfig.Indented));

    private static double Number(JsonObject values, string name) =>
        values[name] is JsonValue value && value.GetValueKind() == JsonValueKind.Number ? value.GetValue<double>() : 0;

    private static JsonNode Describe(SafetensorsFile file)
    {
        // A cache of downloads has links to files of other names; what counts is the file.
        var link = new FileInfo(file.Path);
        FileInfo info = link.ResolveLinkTarget(returnFinalTarget: true) as FileInfo ?? link;
        return new JsonObject
        {
            ["file"] = link.Name,
            ["bytes"] = info.Length,
            ["written"] = info.LastWriteTimeUtc.ToString("O", CultureInfo.InvariantCulture),
        };
    }
}
