using System.Globalization;

namespace Moe.Plugins.Collectives;

/// <summary>Which plan for how many rows and ranks. The figures come from <c>moe bench parallel --tune</c>.</summary>
internal sealed class ReductionTable
{
    private const int MostAhead = 64;
    private const int MostRows = 1 << 20;
    private const string Setting = "Moe:Plugins:Collectives.Cuda:Plan";

    private readonly ReductionPlan? _forced;

    private ReductionTable(ReductionPlan? forced) => _forced = forced;

    /// <summary>Reads the setting that forces one plan.</summary>
    /// <exception cref="MoeException">It is none.</exception>
    public static ReductionTable Read(string? text)
    {
        if (text is null)
        {
            return new ReductionTable(null);
        }

        string[] parts = text.Split(':');
        return parts.Length == 4
            && Enum.TryParse(parts[0], ignoreCase: true, out ReductionWay way)
            && Enum.IsDefined(way)
            && TryRead(parts[1], ReductionKernels.MostBlocks, out int blocks)
            && TryRead(parts[2], MostAhead, out int ahead)
            && TryRead(parts[3], MostRows, out int rows)
            ? new ReductionTable(new ReductionPlan(way, blocks, ahead, rows))
            : throw new MoeException(
                MoeReason.Configuration,
                $"{Setting} is '{text}'; a way (push, twoshot, pull), blocks, rows ahead and rows a launch are expected, as in push:132:2:1024.");
    }

    /// <summary>The plan for some rows, at least one.</summary>
    public ReductionPlan Choose(int ranks, int rows) => _forced ?? Tuned(ranks, rows);

    /// <summary>The most rows of a launch for which any plan asks for slots.</summary>
    public int MostSlottedRows(int ranks) => new[] { Choose(ranks, 1), Choose(ranks, int.MaxValue) }
        .Max(plan => plan.Way == ReductionWay.Pull ? 1 : plan.LaunchRows);

    private static ReductionPlan Tuned(int ranks, int rows) => ranks switch
    {
        <= 2 => rows <= 512 ? new ReductionPlan(ReductionWay.Push, 132, 1, 1024) : new ReductionPlan(ReductionWay.Pull, 132, 1, MostRows),
        <= 4 => rows < 64 ? new ReductionPlan(ReductionWay.Push, 132, 1, 1024) : new ReductionPlan(ReductionWay.TwoShot, 132, 2, 1024),
        _ => rows < 32 ? new ReductionPlan(ReductionWay.Push, 132, 1, 1024) : new ReductionPlan(ReductionWay.TwoShot, 132, 2, 1024),
    };

    private static bool TryRead(string text, int most, out int value) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value) && value >= 1 && value <= most;
}
