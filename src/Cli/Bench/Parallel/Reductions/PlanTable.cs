using System.Text.Json;

namespace Moe.Plugins.Cli;

/// <summary>The table of plans that `moe bench parallel --tune` writes, and a group's plugin reads: the fastest for each number of ranks and bytes.</summary>
internal static class PlanTable
{
    private const int BytesOfValue = 2;
    private const long MostBytes = 1 << 20;

    // The lists of a table, by kind of call.
    private const string Reductions = "reductions";
    private const string Gathers = "gathers";
    private const string Scatters = "scatters";

    /// <summary>Plans of reductions that are compared where none are named: those of Collectives.Cuda.</summary>
    public static IReadOnlyList<string> Candidates { get; } = ["push:132:1:1024", "twoshot:132:2:1024", "pull:132:1:1048576", "twopull:132:1:1048576"];

    /// <summary>As <see cref="Candidates"/>, of exchanges: owners have no part in them.</summary>
    public static IReadOnlyList<string> ExchangeCandidates { get; } = ["push:132:1:1024", "pull:132:1:1048576"];

    /// <summary>The fastest plan of each size, from a run: its rows are right. Neighbours with the same plan are one entry; the last has no limit.</summary>
    /// <param name="result">The run.</param>
    /// <param name="measured">Tokens of the call, of all ranks; the plan, null for none; and the time, null where the result was wrong.</param>
    public static IReadOnlyList<Entry> Choose(ParallelResult result, IEnumerable<(int Tokens, string? Plan, double? Microseconds)> measured)
    {
        var entries = new List<Entry>();
        foreach (IGrouping<int, (int Tokens, string? Plan, double? Microseconds)> rows in
            measured.Where(row => row.Microseconds is not null && row.Plan is not null).GroupBy(row => row.Tokens).OrderBy(rows => rows.Key))
        {
            string plan = rows.MinBy(row => row.Microseconds).Plan!;
            if (entries.Count > 0 && entries[^1].Plan == plan)
            {
                entries.RemoveAt(entries.Count - 1);
            }

            entries.Add(new Entry(result.Ranks, (long)rows.Key * result.Width * BytesOfValue, plan));
        }

        return entries.Count == 0 ? [] : [.. entries[..^1], entries[^1] with { Bytes = null }];
    }

    /// <summary>Writes a run's plans to a table; what it has of other numbers of ranks stays.</summary>
    /// <exception cref="MoeException">It cannot be written, is there and no table, or no plan gave right sums.</exception>
    public static void Save(string path, ParallelResult result)
    {
        (string Kind, IReadOnlyList<Entry> Chosen)[] kinds =
        [
            (Reductions, Choose(result, result.Reductions.Select(row => (row.Tokens, row.Plan, row.Microseconds)))),
            (Gathers, Choose(result, result.Exchanges.Select(row => (row.Tokens, row.Plan, row.GatherMicroseconds)))),
            (Scatters, Choose(result, result.Exchanges.Select(row => (row.Tokens, row.Plan, row.ScatterMicroseconds)))),
        ];
        if (kinds[0].Chosen.Count == 0)
        {
            throw new MoeException(MoeReason.Configuration, $"{path} was not written: no plan gave right sums.");
        }

        JsonElement? old = Load(path);
        (string Kind, Entry[] All)[] lists = [.. kinds.Select(kind => (kind.Kind, Merge(path, old, kind.Kind, kind.Chosen, result.Ranks)))];
        WholeFile.Write(path, stream =>
        {
            using var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
            writer.WriteStartObject();
            foreach ((string kind, Entry[] all) in lists.Where(list => list.All.Length > 0))
            {
                writer.WriteStartArray(kind);
                foreach (Entry entry in all)
                {
                    writer.WriteStartObject();
                    writer.WriteNumber("ranks", entry.Ranks);
                    if (entry.Bytes is long bytes)
                    {
                        writer.WriteNumber("bytes", bytes);
                    }

                    writer.WriteString("plan", entry.Plan);
                    writer.WriteEndObject();
                }

                writer.WriteEndArray();
            }

            writer.WriteEndObject();
        });
    }

    // A run that measured no exchanges leaves what the table has of them.
    private static Entry[] Merge(string path, JsonElement? old, string kind, IReadOnlyList<Entry> chosen, int ranks) =>
        [.. Entries(path, old, kind).Where(entry => chosen.Count == 0 || entry.Ranks != ranks).Concat(chosen).OrderBy(entry => entry.Ranks)];

    private static JsonElement? Load(string path)
    {
        if (!File.Exists(path) || new FileInfo(path).Length == 0)
        {
            return null;
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(SmallFile.Read(path, MostBytes));
            return document.RootElement.TryGetProperty(Reductions, out _) ? document.RootElement.Clone() : throw NoTable(path, $"it has no {Reductions}");
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw NoTable(path, exception.Message, exception);
        }
    }

    private static Entry[] Entries(string path, JsonElement? table, string kind)
    {
        if (table is not { } root || !root.TryGetProperty(kind, out JsonElement list))
        {
            return [];
        }

        try
        {
            return [.. list.EnumerateArray().Select(entry => new Entry(
                entry.GetProperty("ranks").GetInt32(),
                entry.TryGetProperty("bytes", out JsonElement bytes) ? bytes.GetInt64() : null,
                entry.GetProperty("plan").GetString()!))];
        }
        catch (Exception exception) when (exception is KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw NoTable(path, exception.Message, exception);
        }
    }

    private static MoeException NoTable(string path, string why, Exception? cause = null) =>
        new(MoeReason.Configuration, $"{path} is no table of plans, and is left as it is: {why}", cause);

    /// <param name="Ranks">Ranks.</param>
    /// <param name="Bytes">Up to so many bytes of the call's rows; null for any.</param>
    /// <param name="Plan">The plan.</param>
    public readonly record struct Entry(int Ranks, long? Bytes, string Plan);
}
