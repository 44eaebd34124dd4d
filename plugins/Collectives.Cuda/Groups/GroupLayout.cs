namespace Moe.Plugins.Collectives;

/// <summary>Where things are in the memory of each rank that all ranks reach, in bytes; the same on all of them.</summary>
internal sealed class GroupLayout
{
    private const long Alignment = 512;
    private const int FlagSides = 3;

    private readonly int _slots;
    private readonly int _sums;
    private readonly int _ranks;

    /// <param name="request">The group.</param>
    /// <param name="shape">Its rows.</param>
    /// <param name="pushedRows">Rows of a launch that every rank pushes to every other one, for which there are to be slots.</param>
    /// <param name="sharedRows">The same of rows that are shared out among the ranks.</param>
    /// <param name="summedRows">Rows of a launch whose owners are to have room for their sums, or of a gathering by reading.</param>
    public GroupLayout(MoeGroupRequest request, RowShape shape, int pushedRows, int sharedRows, int summedRows)
    {
        _ranks = request.Devices.Count;
        int peers = Math.Max(1, _ranks - 1);
        _slots = Math.Max(TwoShotSlots(Math.Min(request.MaxTokens, sharedRows)), Math.Min(request.MaxTokens, pushedRows) * peers);
        _sums = Math.Max(1, (Math.Min(request.MaxTokens, summedRows) + _ranks - 1) / _ranks);

        // Room for short rows of each rank's share of all tokens, whatever there is for longer ones.
        long shortRows = (request.MaxTokens + _ranks - 1) / _ranks * (long)peers;
        SetBytes = Align(Math.Max((long)_slots * shape.RowBytes, shortRows * ShortRow.SlotBytes(Math.Min(shape.RowBytes, ShortRow.MostBytes))));
        FlagsOffset = 2 * SetBytes;
        SumsOffset = FlagsOffset + Align((long)FlagSides * RowShape.MostRanks * ReductionKernels.MostBlocks * sizeof(uint));
        SumsBytes = Align((long)_sums * shape.RowBytes);
        PartialOffset = SumsOffset + (2 * SumsBytes);
        ByteCount = PartialOffset + Align((long)request.MaxTokens * shape.RowBytes);
    }

    /// <summary>The layout that has room for every plan of a table.</summary>
    public static GroupLayout Of(MoeGroupRequest request, RowShape shape, ReductionTable table)
    {
        PlanList reductions = table.Reductions(request.Devices.Count);
        PlanList gathers = table.Gathers(request.Devices.Count);
        PlanList scatters = table.Scatters(request.Devices.Count);
        int shared = new[] { gathers, scatters }.Max(plans => plans.MostRows(shape.RowBytes, ReductionWay.Push, ReductionWay.TwoShot));
        int summed = Math.Max(reductions.MostRows(shape.RowBytes, ReductionWay.TwoPull), gathers.MostRows(shape.RowBytes, ReductionWay.Pull, ReductionWay.TwoPull));
        return new GroupLayout(
            request,
            shape,
            reductions.MostRows(shape.RowBytes, ReductionWay.Push),
            Math.Max(shared, reductions.MostRows(shape.RowBytes, ReductionWay.TwoShot)),
            summed);
    }

    /// <summary>Of one of the two sets of slots, which come first.</summary>
    public long SetBytes { get; }

    public long FlagsOffset { get; }

    /// <summary>Where the two sets of sums are that an owner leaves for the others to read.</summary>
    public long SumsOffset { get; }

    /// <summary>Of one of them.</summary>
    public long SumsBytes { get; }

    /// <summary>Where the rank's own part of the sums is.</summary>
    public long PartialOffset { get; }

    public long ByteCount { get; }

    /// <summary>The most rows of one launch.</summary>
    public int MostRows(ReductionWay way)
    {
        if (_ranks == 1 || way == ReductionWay.Pull)
        {
            return int.MaxValue;
        }

        if (way == ReductionWay.TwoPull)
        {
            return _sums * _ranks;
        }

        if (way != ReductionWay.TwoShot)
        {
            return _slots / (_ranks - 1);
        }

        int rows = _slots;
        while (TwoShotSlots(rows) > _slots)
        {
            rows--;
        }

        return rows;
    }

    /// <summary>The most rows of one launch that every rank pushes to all others, where a row's slot has so many bytes.</summary>
    public int MostPushedRows(int slotBytes) => _ranks == 1 ? int.MaxValue : (int)Math.Min(SetBytes / slotBytes / (_ranks - 1), int.MaxValue);

    // Slots for what the others push to an owner, and for the sums that come back.
    private int TwoShotSlots(int rows) => rows + ((_ranks - 1) * ((rows + _ranks - 1) / _ranks));

    private static long Align(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;
}
