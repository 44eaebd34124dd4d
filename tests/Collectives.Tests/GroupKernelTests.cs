namespace Moe.Plugins.Collectives.Tests;

/// <summary>
/// The kernels' own code, each rank's blocks a process on a model of a thread block, launched with the very parameters that the devices get; calls behind
/// each other, of other rows each time.
/// </summary>
public sealed class GroupKernelTests
{
    private const int MaxTokens = 24;

    public static TheoryData<int, int, int, int> Groups => new()
    {
        { 2, 328, 3, 1 },
        { 3, 328, 2, 4 },
        { 4, 328, 1, 2 },
        { 4, 328, 132, 8 },
        { 8, 104, 8, 3 },
        { 2, 4104, 1, 2 },
    };

    /// <summary>Every way to sum, whole rows and shares, with a residual and a norm and without, and gatherings both ways.</summary>
    [Theory]
    [MemberData(nameof(Groups))]
    public void Every_kernel_gives_every_rank_the_numbers(int ranks, int width, int blocks, int ahead)
    {
        using var group = new ModelGroup(ranks, width, MaxTokens);
        foreach (ReductionWay way in Enum.GetValues<ReductionWay>())
        {
            foreach (int rows in new[] { MaxTokens, ranks, 13 })
            {
                group.Reduce(way, rows, blocks, ahead, hasNorm: rows != ranks);
            }
        }

        foreach (int rows in new[] { MaxTokens / ranks, 1, 3 })
        {
            group.Scatter(ReductionWay.Push, rows, blocks);
            group.Scatter(ReductionWay.Pull, rows, blocks);
            foreach (GatherWay way in Enum.GetValues<GatherWay>())
            {
                group.Gather(way, rows, blocks, way == GatherWay.Short ? 12 : group.RowBytes);
                group.Gather(way, rows, blocks, way == GatherWay.Short ? 5 : 140);
            }
        }
    }

    /// <summary>Rows that no expert of a rank wants stay where they are, and what a rank made of them is not summed; calls of both kinds behind each other.</summary>
    [Theory]
    [MemberData(nameof(Groups))]
    public void Rows_are_left_out_where_no_expert_wants_them(int ranks, int width, int blocks, int ahead)
    {
        using var group = new ModelGroup(ranks, width, MaxTokens);
        foreach (int tensorCount in Enumerable.Range(1, 2).Where(count => ranks % count == 0 && count < ranks))
        {
            foreach (int rows in new[] { MaxTokens / ranks, 1, 3 })
            {
                group.Gather(GatherWay.Short, rows, blocks, rowBytes: 12);
                group.Scatter(ReductionWay.Push, rows, blocks);
                group.Reduce(ReductionWay.Push, rows, blocks, ahead, hasNorm: true);
                group.Gather(GatherWay.Pull, rows, blocks, group.RowBytes, tensorCount);
                group.Gather(GatherWay.Pull, rows, blocks, rowBytes: 140, tensorCount);
                group.Scatter(ReductionWay.Pull, rows, blocks, tensorCount);
            }
        }
    }

    /// <summary>Of few and many pieces a thread, with bytes left over, that begin anywhere; sums and long rows between them, in the same slots.</summary>
    [Theory]
    [InlineData(2, 3)]
    [InlineData(3, 1)]
    [InlineData(4, 132)]
    [InlineData(8, 2)]
    public void Short_rows_of_any_number_and_bytes_are_gathered(int ranks, int blocks)
    {
        using var group = new ModelGroup(ranks, 328, maxTokens: 300);
        foreach (int rowBytes in new[] { 4, 8, 16, 100, 128, 1, 6, 15, 88 })
        {
            foreach (int rows in new[] { 1, 2, 33, 128, 129, 300 })
            {
                group.Gather(GatherWay.Short, rows, blocks, rowBytes);
                group.Gather(GatherWay.Short, rows, blocks, rowBytes, gap: 4);
            }

            group.Gather(GatherWay.Short, 77, blocks, rowBytes, gap: 3);
            group.Gather(GatherWay.Push, 5, blocks, group.RowBytes);
            group.Reduce(ReductionWay.Push, 9, blocks, ahead: 2, hasNorm: false);
        }
    }

    /// <summary>Who meets once a call may be at the next meeting before the other has looked, and no further.</summary>
    [Theory]
    [InlineData(2, 2)]
    [InlineData(4, 1)]
    public void Calls_behind_each_other_wait_for_a_late_rank(int ranks, int rows)
    {
        const int Calls = 40;
        using var group = new ModelGroup(ranks, 104, MaxTokens);
        for (int i = 0; i < 3; i++)
        {
            group.Scatter(ReductionWay.Push, rows, blocks: 2, tensorCount: 0, Calls);
            group.Scatter(ReductionWay.Pull, rows, blocks: 2, tensorCount: 1, Calls);
            group.Gather(GatherWay.Push, rows, blocks: 2, group.RowBytes, tensorCount: 0, Calls);
            group.Gather(GatherWay.Pull, rows, blocks: 2, group.RowBytes, tensorCount: 1, Calls);
            group.Gather(GatherWay.Short, rows, blocks: 2, rowBytes: 16, tensorCount: 0, Calls);
        }
    }

    [Fact]
    public void A_rank_that_does_not_come_lets_the_others_go()
    {
        using var group = new ModelGroup(3, 104, MaxTokens);
        foreach (ReductionWay way in Enum.GetValues<ReductionWay>())
        {
            group.ReduceWithout(2, way, MaxTokens);
        }

        foreach (GatherWay way in Enum.GetValues<GatherWay>())
        {
            group.GatherWithout(2, way, MaxTokens / 3, rowBytes: 16);
        }
    }
}
