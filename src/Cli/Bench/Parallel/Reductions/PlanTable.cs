using System.Text.Json;

namespace Moe.Plugins.Cli;

/// <summary>The table of plans that `moe bench parallel --tune` writes, and a group's plugin reads: the fastest for each number of ranks and bytes.</summary>
internal static class PlanTable
{
    private const int BytesOfValue = 2;
    private const long MostBytes = 1 << 20;
    private const string Reductions = "reductions";

    /// <summary>Plans that are compared where none are named: those of Collectives.Cuda.</summary>
    public static IReadOnlyList<string> Candidates { get; } = ["push:132:1:1024", "twoshot:132:2:1024", "pull:132:1:1048576", "twopull:132:1:1048576"];

    /// <summary>The fastest plan of each size, from a run: its rows are right. Neighbours with the same plan are one entry; the last has no limit.</summary>
    public static IReadOnlyList<Entry> Choose(ParallelResult result)
    {
        var entries = new List<Entry>();
        foreach (IGrouping<int, ReductionRow> rows in result.Reductions.Where(row => row.Microseconds is not null && row.Plan is not null).GroupBy(row => row.Tokens).OrderBy(rows => rows.Key))
        {
            string plan = rows.MinBy(row => row.Microseconds)!.Plan!;
            if (entries.Count > 0 && entries[^1].Plan == plan)
            {
                entries.RemoveAt(entries.Count - 1);
            }

            entries.Add(new Entry(result.Ranks, (long)rows.Key * result.Width * BytesOfValue, plan));
        }

        return entries.Count == 0 ? [] : [.. entries[..^1], entries[^1] with { Bytes = null }];
    }

    /// <summary>Writes a run's plans to a table; what it has of other numbers of ranks stays.</summary>
    /// <exception cref="MoeException">It cannot be written, is there and no table, or nothing was measured.</exception>
    public static void Save(string path, ParallelResult result)
    {
        IReadOnlyList<Entry> chosen = Choose(result);
        if (chosen.Count == 0)
        {
            throw new MoeException(MoeReason.Configuration, $"{path} was not written: no plan gave right sums.");
        }

        Entry[] all = [.. Load(path).Where(entry => entry.Ranks != result.Ranks).Concat(chosen).OrderBy(entry => entry.Ranks)];
        WholeFile.Write(path, stream =>
        {
            using var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
            writer.WriteStartObject();
            writer.WriteStartArray(Reductions);
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
            writer.WriteEndObject();
        });
    }

    private static Entry[] Load(string path)
    {
        if (!File.Exists(path) || new FileInfo(path).Length == 0)
        {
            return [];
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(SmallFile.Read(path, MostBytes));
            return [.. document.RootElement.GetProperty(Reductions).EnumerateArray().Select(entry => new Entry(
                entry.GetProperty("ranks").GetInt32(),
                entry.TryGetProperty("bytes", out JsonElement bytes) ? bytes.GetInt64() : null,
                entry.GetProperty("plan").GetString()!))];
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new MoeException(MoeReason.Configuration, $"{path} is no table of plans, and is left as it is: {exception.Message}", exception);
        }
    }

    /// <param name="Ranks">Ranks.</param>
    /// <param name="Bytes">Up to so many bytes that each brings; null for any.</param>
    /// <param name="Plan">The plan.</param>
    public readonly record struct Entry(int Ranks, long? Bytes, string Plan);
}
