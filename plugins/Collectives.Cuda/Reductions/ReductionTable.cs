using System.Globalization;
using System.Text.Json;

namespace Moe.Plugins.Collectives;

/// <summary>Which plan for what call, how many ranks and bytes. The one that comes with the plugin, and others, are written by <c>moe bench parallel --tune</c>.</summary>
internal sealed class ReductionTable
{
    /// <summary>The plan that is none of this plugin's ways: an all-reduce of NCCL's of the rows' own type.</summary>
    public const string Baseline = "nccl";

    private const int MostAhead = 64;
    private const int MostRows = 1 << 20;
    private const int MostFileBytes = 1 << 20;
    private const string PlanSetting = "Plan";
    private const string TableSetting = "Table";
    private const string Shipped = "reductions.json";

    private static readonly ReductionPlan Pushed = new(ReductionWay.Push, Blocks: 132, Ahead: 1, LaunchRows: 1024);

    private readonly Entry[] _reductions;
    private readonly Entry[] _gathers;
    private readonly Entry[] _scatters;

    private ReductionTable(Entry[] reductions, Entry[] gathers, Entry[] scatters)
    {
        _reductions = reductions;
        _gathers = gathers;
        _scatters = scatters;
    }

    /// <summary>Whether the plan is what others do, which no table has.</summary>
    public static bool IsBaseline(IMoePluginContext context) =>
        context.Settings.TryGetValue(PlanSetting, out string? plan) && plan.Equals(Baseline, StringComparison.OrdinalIgnoreCase);

    /// <summary>Reads the setting that forces one plan, or the table that a setting names, or the one that comes with the plugin.</summary>
    /// <exception cref="MoeException">It is none; the message says what was expected.</exception>
    public static ReductionTable Read(IMoePluginContext context)
    {
        if (context.Settings.TryGetValue(PlanSetting, out string? plan) && !IsBaseline(context))
        {
            return ReadPlan(plan) is { } forced
                ? new ReductionTable(Always(forced), Always(forced), Always(forced))
                : throw context.WrongSetting(
                    PlanSetting, "a way (push, twoshot, pull, twopull), blocks, rows ahead and rows a launch, as in push:132:2:1024, or nccl", isMany: true);
        }

        if (context.ReadPath(TableSetting) is not { } path)
        {
            using Stream shipped = typeof(ReductionTable).Assembly.GetManifestResourceStream(Shipped)!;
            return Parse(shipped, Shipped);
        }

        try
        {
            using var file = new MemoryStream(SmallFile.Read(Path.Combine(AppContext.BaseDirectory, path), MostFileBytes));
            return Parse(file, path);
        }
        catch (MoeException exception)
        {
            throw new MoeException(exception.Reason, $"{context.SettingPath(TableSetting)}: {exception.Message}", exception);
        }
    }

    /// <summary>The plans for sums that every rank gets whole.</summary>
    public PlanList Reductions(int ranks) => Of(_reductions, ranks);

    /// <summary>The plans for rows that are gathered.</summary>
    public PlanList Gathers(int ranks) => Of(_gathers, ranks);

    /// <summary>The plans for sums of which each rank gets its own.</summary>
    public PlanList Scatters(int ranks) => Of(_scatters, ranks);

    /// <summary>Two tables that say the same have equal texts.</summary>
    public override string ToString() =>
        string.Join("; ", new[] { _reductions, _gathers, _scatters }.Select(entries => string.Join(", ", entries.Select(entry => $"{entry.Ranks} {entry.Bytes} {entry.Plan}"))));

    private static Entry[] Always(ReductionPlan plan) => [new Entry(int.MaxValue, long.MaxValue, plan)];

    private static ReductionTable Parse(Stream stream, string name)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(stream);
            JsonElement root = document.RootElement;
            Entry[] reductions = Entries(root.GetProperty("reductions"), name);
            return new ReductionTable(
                reductions.Length > 0 ? reductions : throw Wrong(name, "it has no reductions"),
                Exchanges(root, "gathers", name),
                Exchanges(root, "scatters", name));
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw Wrong(name, exception.Message.TrimEnd('.'));
        }
    }

    // A table may say nothing of them.
    private static Entry[] Exchanges(JsonElement root, string kind, string name)
    {
        Entry[] entries = root.TryGetProperty(kind, out JsonElement list) ? Entries(list, name) : [];
        return entries.Length > 0 ? entries : Always(Pushed);
    }

    // Sorted by whoever reads them; the last of each number of ranks must have no limit.
    private static Entry[] Entries(JsonElement list, string name)
    {
        var entries = new List<Entry>();
        foreach (JsonElement element in list.EnumerateArray())
        {
            int ranks = element.GetProperty("ranks").GetInt32();
            long bytes = element.TryGetProperty("bytes", out JsonElement limit) && limit.ValueKind != JsonValueKind.Null ? limit.GetInt64() : long.MaxValue;
            string text = element.GetProperty("plan").GetString() ?? "";
            entries.Add(new Entry(ranks, bytes, ReadPlan(text) ?? throw Wrong(name, $"'{text}' is no plan")));
        }

        Entry[] sorted = [.. entries.OrderBy(entry => entry.Ranks).ThenBy(entry => entry.Bytes)];
        IGrouping<int, Entry>? limited = sorted.GroupBy(entry => entry.Ranks).FirstOrDefault(group => group.Last().Bytes != long.MaxValue);
        return limited is null ? sorted : throw Wrong(name, $"none of {limited.Key} ranks is without bytes");
    }

    private static MoeException Wrong(string name, string what) => new(
        MoeReason.Configuration,
        $"{name} is no table of reductions: {what}. What `moe bench parallel --tune` writes is expected: reductions, and gathers and scatters if need be, of ranks, bytes (left out: any) and plan.");

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
    private static PlanList Of(Entry[] entries, int ranks)
    {
        int listed = entries.FirstOrDefault(entry => entry.Ranks >= ranks, entries[^1]).Ranks;
        return new PlanList([.. entries.Where(entry => entry.Ranks == listed).Select(entry => (entry.Bytes, entry.Plan))]);
    }

    private static bool TryRead(string text, int most, out int value) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value >= 1 && value <= most;

    /// <param name="Ranks">Up to so many ranks.</param>
    /// <param name="Bytes">Up to so many bytes.</param>
    /// <param name="Plan">How they are summed.</param>
    private readonly record struct Entry(int Ranks, long Bytes, ReductionPlan Plan);
}
