namespace Moe.Plugins.Collectives;

/// <summary>Plans of one kind of call in a group, by the bytes of its rows; the last has no limit.</summary>
internal sealed class PlanList(IReadOnlyList<(long Bytes, ReductionPlan Plan)> entries)
{
    private readonly (long Bytes, ReductionPlan Plan)[] _entries = [.. entries];

    /// <summary>The plan for some bytes.</summary>
    /// <param name="bytes">Of the rows that are summed, or of all ranks' that are gathered.</param>
    public ReductionPlan Choose(long bytes)
    {
        int i = 0;
        while (bytes > _entries[i].Bytes)
        {
            i++;
        }

        return _entries[i].Plan;
    }

    /// <summary>The most rows of a launch of some ways; 1 where no plan has one of them.</summary>
    /// <param name="rowBytes">Of a row.</param>
    /// <param name="ways">The ways.</param>
    public int MostRows(int rowBytes, params ReadOnlySpan<ReductionWay> ways)
    {
        int most = 1;
        foreach ((long bytes, ReductionPlan plan) in _entries)
        {
            most = ways.Contains(plan.Way) ? Math.Max(most, (int)Math.Min(plan.LaunchRows, bytes / rowBytes)) : most;
        }

        return most;
    }
}
