using System.Globalization;
using System.Text.Json;

namespace Moe.Plugins.Collectives;

/// <summary>Which plan for how many ranks and bytes. The one that comes with the plugin, and others, are written by <c>moe bench parallel --tune</c>.</summary>
internal sealed class ReductionTable
{
    private const int MostAhead = 64;
    private const int MostRows = 1 << 20;
    private const int MostFileBytes = 1 << 20;
    private const string Settings = "Moe:Plugins:Collectives.Cuda:";
    private const string Shipped = "reductions.json";

    private readonly Entry[] _entries;

    private ReductionTable(Entry[] entries) => _entries = entries;

    /// <summary>Reads the setting that forces one plan, or the table that a setting names, or the one that comes with the plugin.</summary>
    /// <exception cref="MoeException">It is none; the message says what was expected.</exception>
    public static ReductionTable Read(string? plan, string? path)
    {
        if (plan is not null)
        {
            return ReadPlan(plan) is { } forced
                ? new ReductionTable([new Entry(int.MaxValue, long.MaxValue, forced)])
                : throw new MoeException(
                    MoeReason.Configuration,
                    $"{Settings}Plan is '{plan}'; a way (push, twoshot, pull, twopull), blocks, rows ahead and rows a launch are expected, as in push:132:2:1024.");
        }

        if (path is null)
        {
            using Stream shipped = typeof(ReductionTable).Assembly.GetManifestResourceStream(Shipped)!;
            return Parse(shipped, Shipped);
        }

        try
        {
            using var file = new MemoryStream(SmallFile.Read(Path.Combine(AppContext.BaseDirectory, path), MostFileBytes));
            return Parse(file, path);
        }
        catch (MoeException exception) when (exception.Reason == MoeReason.NotFound)
        {
            throw new MoeException(MoeReason.NotFound, $"{Settings}Table: {exception.Message}", exception);
        }
    }

    /// <summary>The plan for a sum, of one row at least.</summary>
    /// <param name="ranks">Ranks of the group.</param>
    /// <param name="bytes">Bytes of the rows that each brings.</param>
    public ReductionPlan Choose(int ranks, long bytes) => EntriesOf(ranks).First(entry => bytes <= entry.Bytes).Plan;

    /// <summary>The most rows of a launch for which any plan asks for slots.</summary>
    public int MostSlottedRows(int ranks) => Most(ranks, static plan => plan.Way is ReductionWay.Push or ReductionWay.TwoShot);

    /// <summary>The most rows of a launch for which any plan asks for room for sums.</summary>
    public int MostSummedRows(int ranks) => Most(ranks, static plan => plan.Way == ReductionWay.TwoPull);

    /// <summary>Two tables that say the same have equal texts.</summary>
    public override string ToString() => string.Join(", ", _entries.Select(entry => $"{entry.Ranks} {entry.Bytes} {entry.Plan}"));

    private static ReductionTable Parse(Stream stream, string name)
    {
        var entries = new List<Entry>();
        try
        {
            using JsonDocument document = JsonDocument.Parse(stream);
            foreach (JsonElement element in document.RootElement.GetProperty("reductions").EnumerateArray())
            {
                int ranks = element.GetProperty("ranks").GetInt32();
                long bytes = element.TryGetProperty("bytes", out JsonElement limit) && limit.ValueKind != JsonValueKind.Null ? limit.GetInt64() : long.MaxValue;
                string text = element.GetProperty("plan").GetString() ?? "";
                entries.Add(new Entry(ranks, bytes, ReadPlan(text) ?? throw Wrong(name, $"'{text}' is no plan")));
            }
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw Wrong(name, exception.Message.TrimEnd('.'));
        }

        // Sorted by whoever reads them; the last of each number of ranks must have no limit.
        Entry[] sorted = [.. entries.OrderBy(entry => entry.Ranks).ThenBy(entry => entry.Bytes)];
        IGrouping<int, Entry>? limited = sorted.GroupBy(entry => entry.Ranks).FirstOrDefault(group => group.Last().Bytes != long.MaxValue);
        return sorted.Length == 0 ? throw Wrong(name, "it has no reductions")
            : limited is not null ? throw Wrong(name, $"none of {limited.Key} ranks is without bytes")
            : new ReductionTable(sorted);
    }

    private static MoeException Wrong(string name, string what) => new(
        MoeReason.Configuration,
        $"{Settings}Table: {name} is no table of reductions: {what}. What `moe bench parallel --tune` writes is expected: ranks, bytes (left out: any) and plan.");

    private static ReductionPlan? ReadPlan(string text)
    {
        string[] parts = text.Split(':');
        return parts.Length == 4
            && Enum.TryParse(parts[0], ignoreCase: true, out ReductionWay way)
            && Enum.IsDefined(way)
            && TryRead(parts[1], ReductionKernels.MostBlocks, out int blocks)
            && TryRead(parts[2], MostAhead, out int ahead)
            && TryRead(parts[3], MostRows, out int rows)
            ? new ReductionPlan(way, blocks, ahead, rows)
            : null;
    }

    // Those for as many ranks, or for the next number that there is; for more than there are, the last.
    private IEnumerable<Entry> EntriesOf(int ranks)
    {
        int listed = _entries.FirstOrDefault(entry => entry.Ranks >= ranks, _entries[^1]).Ranks;
        return _entries.Where(entry => entry.Ranks == listed);
    }

    private int Most(int ranks, Func<ReductionPlan, bool> asks) =>
        EntriesOf(ranks).Select(entry => entry.Plan).Where(asks).Select(plan => plan.LaunchRows).DefaultIfEmpty(1).Max();

    private static bool TryRead(string text, int most, out int value) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value >= 1 && value <= most;

    /// <param name="Ranks">Up to so many ranks.</param>
    /// <param name="Bytes">Up to so many bytes.</param>
    /// <param name="Plan">How they are summed.</param>
    private readonly record struct Entry(int Ranks, long Bytes, ReductionPlan Plan);
}
