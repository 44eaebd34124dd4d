namespace Moe.Plugins.Collectives;

/// <summary>Fits plans to a group: how many launches, and how many blocks each. All ranks come to the same.</summary>
internal sealed class ReductionPlanner
{
    /// <summary>Bytes of a microsecond that come to a rank whose neighbours read too.</summary>
    private const double LinkBytes = 330e3;

    /// <summary>
    /// Microseconds that it takes to route first, and to gather ids and weights: at most 9.6 on 2 GPUs, at 64 to 16,384 tokens of all ranks, and less from 2048
    /// on, for each rank routes only its own tokens. It was not measured on 4 GPUs. There, each of the two gatherings takes some 1.5 longer.
    /// </summary>
    private const double RoutingTime = 13;

    /// <summary>As slots are written and emptied.</summary>
    private const int PieceBytes = 16;

    private readonly GroupLayout _layout;
    private readonly IReadOnlyDictionary<ReductionWay, int> _mostBlocks;
    private readonly int _mostGatherBlocks;
    private readonly int _ranks;
    private readonly int _rowBytes;
    private readonly PlanList _reductions;
    private readonly PlanList _gathers;
    private readonly PlanList _scatters;

    /// <param name="table">What is fastest.</param>
    /// <param name="layout">What there is room for.</param>
    /// <param name="request">The group.</param>
    /// <param name="rowBytes">Of a row.</param>
    /// <param name="mostBlocks">Blocks of each way that run at a time on the device that has the least room for each of its ranks.</param>
    /// <param name="mostGatherBlocks">The same of gatherings.</param>
    public ReductionPlanner(
        ReductionTable table, GroupLayout layout, MoeGroupRequest request, int rowBytes, IReadOnlyDictionary<ReductionWay, int> mostBlocks, int mostGatherBlocks)
    {
        _mostGatherBlocks = mostGatherBlocks;
        _layout = layout;
        _mostBlocks = mostBlocks;
        _ranks = request.Devices.Count;
        _rowBytes = rowBytes;

        // Searched once: a forward finds its plan among a few.
        _reductions = table.Reductions(_ranks);
        _gathers = table.Gathers(_ranks);
        _scatters = table.Scatters(_ranks);
    }

    /// <summary>The plan for some rows. Rows of a launch are set to what is launched at a time.</summary>
    public ReductionPlan ForRows(int rows) => Fit(Choose(rows), rows);

    /// <summary>The plan for rows that are shared out: by pushing, or by reading.</summary>
    /// <param name="rows">That a rank gets.</param>
    public ReductionPlan ForScatter(int rows) => Fit(Exchange(_scatters, rows, _rowBytes), rows);

    /// <summary>The plan for rows that are gathered.</summary>
    /// <param name="rows">That a rank brings.</param>
    /// <param name="rowBytes">Of one of them.</param>
    public GatherPlan ForGather(int rows, int rowBytes)
    {
        ReductionPlan plan = Exchange(_gathers, rows, rowBytes);
        GatherWay way = rowBytes <= ShortRow.MostBytes ? GatherWay.Short : plan.Way == ReductionWay.Pull ? GatherWay.Pull : GatherWay.Push;
        int slotBytes = way switch
        {
            GatherWay.Short => ShortRow.SlotBytes(rowBytes),
            GatherWay.Pull => rowBytes,
            _ => (rowBytes + PieceBytes - 1) / PieceBytes * PieceBytes,
        };

        // Rows that are read are where sums are left for others. Short ones are as many a launch as there is room for.
        int room = way == GatherWay.Pull ? (int)Math.Min(_layout.SumsBytes / slotBytes, int.MaxValue) : _layout.MostPushedRows(slotBytes);
        return new GatherPlan(way, plan.Blocks, Even(rows, way == GatherWay.Short ? room : Math.Min(plan.LaunchRows, room)), slotBytes);
    }

    /// <summary>
    /// Whether exchanges of so many rows of a rank leave out rows: where their sums are read. To look a pushed row's ids up, on both sides, took longer than the
    /// row: 22 µs for 13 of 1024 rows on two GPUs. A gathering leaves out no row whose part would be summed.
    /// </summary>
    public bool LeavesOut(int rows) => ForScatter(rows).Way == ReductionWay.Pull;

    /// <summary>With uniform routing: the time that rows which are left out would take on a rank's link, there and back, against that of knowing which.</summary>
    /// <param name="rows">That a rank brings.</param>
    /// <param name="topK">Experts of a token.</param>
    /// <param name="tensorCount">Ranks that share each expert.</param>
    public bool GainsByRouting(int rows, int topK, int tensorCount)
    {
        double absent = Math.Pow((_ranks - tensorCount) / (double)_ranks, topK);
        return LeavesOut(rows)
            && ForGather(rows, _rowBytes).Way == GatherWay.Pull
            && 2 * absent * (_ranks - 1) * rows * _rowBytes / LinkBytes > RoutingTime;
    }

    /// <summary>A plan of one way.</summary>
    public ReductionPlan For(ReductionWay way, int rows) => Fit(Choose(rows) with { Way = way }, rows);

    /// <summary>The blocks of a launch.</summary>
    public int Blocks(ReductionPlan plan, int rows)
    {
        int most = MostBlocks(plan);
        return plan.Way switch
        {
            ReductionWay.TwoShot => Math.Min((rows + _ranks - 1) / _ranks, most / _ranks) * _ranks,
            ReductionWay.TwoPull => Math.Min((rows + _ranks - 1) / _ranks, most),
            _ => Math.Min(rows, most),
        };
    }

    /// <summary>The blocks of a launch of a gathering.</summary>
    public int GatherBlocks(GatherPlan plan, int rows) =>
        Math.Min(plan.Way == GatherWay.Short ? ShortRow.Blocks(rows, plan.SlotBytes) : rows, Math.Min(plan.Blocks, _mostGatherBlocks));

    private int MostBlocks(ReductionPlan plan) => Math.Min(plan.Blocks, _mostBlocks[plan.Way]);

    private static bool IsOwned(ReductionWay way) => way is ReductionWay.TwoShot or ReductionWay.TwoPull;

    private ReductionPlan Choose(int rows) => _reductions.Choose((long)rows * _rowBytes);

    // Owners have no part in an exchange: a plan of theirs reads or pushes as they do.
    private ReductionPlan Exchange(PlanList plans, int rows, int rowBytes)
    {
        ReductionPlan plan = plans.Choose((long)rows * _ranks * rowBytes);
        return plan with { Way = plan.Way is ReductionWay.Pull or ReductionWay.TwoPull ? ReductionWay.Pull : ReductionWay.Push };
    }

    // Rows of each of as few launches as there may be.
    private static int Even(int rows, int most)
    {
        long launches = Math.Max(1, ((long)rows + most - 1) / most);
        return (int)((rows + launches - 1) / launches);
    }

    private ReductionPlan Fit(ReductionPlan plan, int rows)
    {
        // Each rank must own a row of each launch, and the blocks of one way must be a multiple of the ranks.
        if (IsOwned(plan.Way) && (rows < _ranks || _ranks == 1 || (plan.Way == ReductionWay.TwoShot && MostBlocks(plan) < _ranks)))
        {
            plan = plan with { Way = ReductionWay.Push };
        }

        int each = Even(rows, Math.Min(plan.LaunchRows, _layout.MostRows(plan.Way)));

        // The last launch has the rest, which must not be too few either.
        return IsOwned(plan.Way) && ((rows - 1) % each) + 1 < _ranks
            ? Fit(plan with { Way = ReductionWay.Push }, rows)
            : plan with { LaunchRows = each };
    }
}
