namespace Moe.Plugins.Collectives;

/// <summary>Fits plans to a group: how many launches, and how many blocks each. All ranks come to the same.</summary>
/// <param name="table">What is fastest.</param>
/// <param name="layout">What there is room for.</param>
/// <param name="ranks">The group's.</param>
/// <param name="mostBlocks">Blocks of each way that run at a time on the device that has the least room for each of its ranks.</param>
internal sealed class ReductionPlanner(ReductionTable table, GroupLayout layout, int ranks, IReadOnlyDictionary<ReductionWay, int> mostBlocks)
{
    /// <summary>The plan for some rows, at least one. Rows of a launch are set to what is launched at a time.</summary>
    public ReductionPlan ForRows(int rows) => Fit(table.Choose(ranks, rows), rows);

    /// <summary>The plan for rows that are shared out.</summary>
    public ReductionPlan ForScatter(int rows) => Fit(table.Choose(ranks, rows) with { Way = ReductionWay.Push }, rows);

    /// <summary>The plan for rows that are gathered.</summary>
    public ReductionPlan ForGather(int rows) => ForScatter(rows);

    /// <summary>A plan of one way.</summary>
    public ReductionPlan For(ReductionWay way, int rows) => Fit(table.Choose(ranks, rows) with { Way = way }, rows);

    /// <summary>The blocks of a launch.</summary>
    public int Blocks(ReductionPlan plan, int rows)
    {
        int most = Math.Min(plan.Blocks, mostBlocks[plan.Way]);
        return plan.Way == ReductionWay.TwoShot ? Math.Min((rows + ranks - 1) / ranks, most / ranks) * ranks : Math.Min(rows, most);
    }

    private ReductionPlan Fit(ReductionPlan plan, int rows)
    {
        // Each rank must own a row of each launch, and the blocks must be a multiple of the ranks.
        if (plan.Way == ReductionWay.TwoShot && (rows < ranks || mostBlocks[ReductionWay.TwoShot] < ranks))
        {
            plan = plan with { Way = ReductionWay.Push };
        }

        int most = Math.Min(plan.LaunchRows, layout.MostRows(plan.Way));
        int launches = Math.Max(1, (int)(((long)rows + most - 1) / most));
        int each = (int)(((long)rows + launches - 1) / launches);

        // The last launch has the rest, which must not be too few either.
        return plan.Way == ReductionWay.TwoShot && rows - ((launches - 1) * each) < ranks
            ? Fit(plan with { Way = ReductionWay.Push }, rows)
            : plan with { LaunchRows = each };
    }
}
