using System.Runtime.InteropServices;
using System.Text.Json;

namespace Moe.Plugins;

/// <summary>
/// The verdicts on plugins, by the hash of their content, and the marks of those that are being activated: files of the user's, in a folder
/// where nobody else can write.
/// </summary>
internal sealed class VerdictStore
{
    private const string MarkExtension = ".loading";

    private readonly string _folder;

    public VerdictStore(string stagingRoot) => _folder = Path.Combine(stagingRoot, ".verdicts");

    /// <summary>The runtime on which a verdict counts: on another, the same plugin may behave in another way.</summary>
    public static string Runtime { get; } = $"{RuntimeInformation.FrameworkDescription} {RuntimeInformation.RuntimeIdentifier}";

    /// <summary>All verdicts that can be read.</summary>
    public IEnumerable<TrialVerdict> All() => Directory.Exists(_folder)
        ? Directory.EnumerateFiles(_folder, "*.json").Select(Read).OfType<TrialVerdict>()
        : [];

    /// <summary>The verdict on a content. One that found no harm counts on its own runtime only; a quarantine counts until it is released.</summary>
    public TrialVerdict? Find(string hash)
    {
        TrialVerdict? verdict = Read(PathOf(hash));
        return verdict is { IsHarmless: true } && verdict.Runtime != Runtime ? null : verdict;
    }

    public void Keep(TrialVerdict verdict)
    {
        PrivateFolder.Create(_folder);
        using var bytes = new MemoryStream();
        using (var writer = new Utf8JsonWriter(bytes, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            writer.WriteString("id", verdict.Id);
            writer.WriteString("version", verdict.Version);
            writer.WriteString("hash", verdict.Hash);
            writer.WriteString("reason", verdict.Reason.ToString());
            writer.WriteString("sentence", verdict.Sentence);
            writer.WriteString("runtime", verdict.Runtime);
            writer.WriteEndObject();
        }

        string fresh = NewFile();
        File.WriteAllBytes(fresh, bytes.ToArray());
        File.Move(fresh, PathOf(verdict.Hash), overwrite: true);
    }

    public void Forget(string hash) => File.Delete(PathOf(hash));

    /// <summary>A file of the folder's that nobody else uses.</summary>
    public string NewFile()
    {
        PrivateFolder.Create(_folder);
        return Path.Combine(_folder, $"{Guid.NewGuid():N}.tmp");
    }

    /// <summary>Marks a content as being activated, until the mark is disposed or this process ends.</summary>
    public LoadingMark Mark(string hash)
    {
        PrivateFolder.Create(_folder);
        return new LoadingMark(Path.Combine(_folder, $"{hash}.{Guid.NewGuid():N}{MarkExtension}"));
    }

    /// <summary>Whether a process ended while it was activating this content. The question takes the marks away.</summary>
    public bool TakeMarks(string hash)
    {
        bool found = false;
        foreach (string file in Directory.Exists(_folder) ? Directory.GetFiles(_folder, $"{hash}.*{MarkExtension}") : [])
        {
            using FileLock? alone = FileLock.TryTake(file);
            if (alone is not null)
            {
                File.Delete(file);
                found = true;
            }
        }

        return found;
    }

    // What cannot be read is no verdict: the plugin is tried again.
    private static TrialVerdict? Read(string file)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(file));
            JsonElement root = document.RootElement;
            return new TrialVerdict(
                Text("id"),
                Text("version"),
                Text("hash"),
                Enum.Parse<MoeReason>(Text("reason")),
                Text("sentence"),
                Text("runtime"));

            string Text(string name) => root.GetProperty(name).GetString() ?? throw new JsonException($"{name} is null.");
        }
        catch (Exception exception) when (exception
            is IOException or UnauthorizedAccessException or JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException)
        {
            return null;
        }
    }

    private string PathOf(string hash) => Path.Combine(_folder, hash + ".json");
}
