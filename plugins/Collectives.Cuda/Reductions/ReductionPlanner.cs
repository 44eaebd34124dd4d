namespace Moe.Plugins.Collectives;

/// <summary>Fits plans to a group: how many launches, and how many blocks each. All ranks come to the same.</summary>
internal sealed class ReductionPlanner
{
    private readonly GroupLayout _layout;
    private readonly IReadOnlyDictionary<ReductionWay, int> _mostBlocks;
    private readonly int _ranks;
    private readonly ReductionPlan[] _plans;

    /// <param name="table">What is fastest.</param>
    /// <param name="layout">What there is room for.</param>
    /// <param name="request">The group.</param>
    /// <param name="rowBytes">Of a row.</param>
    /// <param name="mostBlocks">Blocks of each way that run at a time on the device that has the least room for each of its ranks.</param>
    public ReductionPlanner(ReductionTable table, GroupLayout layout, MoeGroupRequest request, int rowBytes, IReadOnlyDictionary<ReductionWay, int> mostBlocks)
    {
        _layout = layout;
        _mostBlocks = mostBlocks;
        _ranks = request.Devices.Count;

        // Looked up once: a forward searches no table.
        _plans = [.. Enumerable.Range(1, request.MaxTokens).Select(rows => table.Choose(_ranks, (long)rows * rowBytes))];
    }

    /// <summary>The plan for some rows. Rows of a launch are set to what is launched at a time.</summary>
    public ReductionPlan ForRows(int rows) => Fit(Choose(rows), rows);

    /// <summary>The plan for rows that are shared out.</summary>
    public ReductionPlan ForScatter(int rows) => For(ReductionWay.Push, rows);

    /// <summary>The plan for rows that are gathered.</summary>
    public ReductionPlan ForGather(int rows) => ForScatter(rows);

    /// <summary>A plan of one way.</summary>
    public ReductionPlan For(ReductionWay way, int rows) => Fit(Choose(rows) with { Way = way }, rows);

    /// <summary>The blocks of a launch.</summary>
    public int Blocks(ReductionPlan plan, int rows)
    {
        int most = Math.Min(plan.Blocks, _mostBlocks[plan.Way]);
        return plan.Way switch
        {
            ReductionWay.TwoShot => Math.Min((rows + _ranks - 1) / _ranks, most / _ranks) * _ranks,
            ReductionWay.TwoPull => Math.Min((rows + _ranks - 1) / _ranks, most),
            _ => Math.Min(rows, most),
        };
    }

    private static bool IsOwned(ReductionWay way) => way is ReductionWay.TwoShot or ReductionWay.TwoPull;

    private ReductionPlan Choose(int rows) => _plans[Math.Max(rows, 1) - 1];

    private ReductionPlan Fit(ReductionPlan plan, int rows)
    {
        // Each rank must own a row of each launch, and the blocks of one way must be a multiple of the ranks.
        if (IsOwned(plan.Way) && (rows < _ranks || _ranks == 1 || (plan.Way == ReductionWay.TwoShot && _mostBlocks[ReductionWay.TwoShot] < _ranks)))
        {
            plan = plan with { Way = ReductionWay.Push };
        }

        int most = Math.Min(plan.LaunchRows, _layout.MostRows(plan.Way));
        int launches = Math.Max(1, (int)(((long)rows + most - 1) / most));
        int each = (int)(((long)rows + launches - 1) / launches);

        // The last launch has the rest, which must not be too few either.
        return IsOwned(plan.Way) && rows - ((launches - 1) * each) < _ranks
            ? Fit(plan with { Way = ReductionWay.Push }, rows)
            : plan with { LaunchRows = each };
    }
}
