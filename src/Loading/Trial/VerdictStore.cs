using System.Runtime.InteropServices;
using System.Text.Json;

namespace Moe.Plugins;

/// <summary>
/// The verdicts on plugins, by the hash of their content, and the marks of those that are being activated: files of the user's, in a folder
/// where nobody else can write. Where this user cannot write either, what is there counts and nothing is added.
/// </summary>
internal sealed class VerdictStore
{
    /// <summary>What is being written, by <see cref="WholeFile"/> too, and has not got its own name yet.</summary>
    public const string FreshExtension = ".tmp";

    private const string MarkExtension = ".loading";
    private const string VerdictExtension = ".json";
    private const int HashLength = 64;
    private const int MaxByteCount = 1 << 20;

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    private readonly string _folder;

    public VerdictStore(string stagingRoot) => _folder = Path.Combine(stagingRoot, ".verdicts");

    /// <summary>The runtime on which a verdict counts: on another, the same plugin may behave in another way.</summary>
    public static string Runtime { get; } = $"{RuntimeInformation.FrameworkDescription} {RuntimeInformation.RuntimeIdentifier}";

    /// <summary>All verdicts that can be read.</summary>
    public IEnumerable<TrialVerdict> All() => Directory.Exists(_folder)
        ? Directory.EnumerateFiles(_folder, "*" + VerdictExtension).Select(Read).OfType<TrialVerdict>()
        : [];

    /// <summary>The verdict on a content, if there is one that counts for such a time limit and such settings.</summary>
    public TrialVerdict? Find(string hash, TimeSpan timeout, IReadOnlyDictionary<string, string> settings) =>
        Read(PathOf(hash)) is { } verdict && verdict.Counts(timeout, settings) ? verdict : null;

    public void Keep(TrialVerdict verdict)
    {
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
            writer.WriteNumber("seconds", verdict.Seconds);
            writer.WriteString("settings", verdict.Settings);
            writer.WriteEndObject();
        }

        IfWritable(() =>
        {
            WholeFile.Write(PathOf(verdict.Hash), bytes.WriteTo);
            return true;
        });
    }

    public void Forget(string hash) => File.Delete(PathOf(hash));

    /// <summary>Marks a content as being activated, until the mark is disposed or this process ends; null where nothing can be written.</summary>
    public LoadingMark? Mark(string hash) =>
        IfWritable(() => LoadingMark.Make(Path.Combine(_folder, $"{hash}.{Guid.NewGuid():N}{MarkExtension}")));

    /// <summary>Whether a process ended while it was activating this content. The question takes the marks away.</summary>
    public bool TakeMarks(string hash)
    {
        bool found = false;
        foreach (string file in Directory.Exists(_folder) ? Directory.GetFiles(_folder, $"{hash}.*{MarkExtension}") : [])
        {
            found |= IfWritable(() =>
            {
                FileLock? alone = FileLock.TryTakeExisting(file);
                if (alone is null)
                {
                    // Its process is at it, or is done with it, or another one was here first.
                    return false;
                }

                alone.Dispose();
                File.Delete(file);
                return true;
            });
        }

        return found;
    }

    // Under one lock: whatever has no name yet while nobody writes was left by a process that was ended.
    private T? IfWritable<T>(Func<T?> write)
    {
        try
        {
            PrivateFolder.Create(_folder);
            using FileLock turn = FileLock.Take(Path.Combine(_folder, ".lock"), Patience);
            foreach (string left in Directory.GetFiles(_folder, "*" + FreshExtension))
            {
                File.Delete(left);
            }

            return write();
        }
        catch (Exception exception) when (FileLock.IsUnwritable(exception))
        {
            return default;
        }
    }

    // What cannot be read, or has another's name, is no verdict: the plugin is tried again.
    private static TrialVerdict? Read(string file)
    {
        try
        {
            if (!Path.Exists(file))
            {
                return null;
            }

            WriteAccess.Check(file);
            using var document = JsonDocument.Parse(RegularFile.ReadAllBytes(file, MaxByteCount, MoeReason.NotFound));
            JsonElement root = document.RootElement;
            var verdict = new TrialVerdict(
                Text("id"),
                Text("version"),
                Text("hash"),
                Enum.Parse<MoeReason>(Text("reason")),
                Text("sentence"),
                Text("runtime"),
                root.GetProperty("seconds").GetDouble(),
                Text("settings"));
            return PluginId.IsValid(verdict.Id) && IsHash(verdict.Hash) && verdict.Hash == Path.GetFileNameWithoutExtension(file) ? verdict : null;

            string Text(string name) => root.GetProperty(name).GetString() ?? throw new JsonException($"{name} is null.");
        }
        catch (Exception exception) when (exception
            is IOException or UnauthorizedAccessException or JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException
            or FormatException or MoeException)
        {
            return null;
        }
    }

    private static bool IsHash(string text) => text.Length == HashLength && text.All(char.IsAsciiHexDigitLower);

    private string PathOf(string hash) => Path.Combine(_folder, hash + VerdictExtension);
}
