using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>The sorts' own code, on a model of a thread block, against a stable sort of the host.</summary>
public sealed unsafe class SortTests
{
    private const int Untouched = -7;

    private const string Launch =
        """
        #include "sort.cu"
        extern "C" void run(const int* ids, int pairs, int experts, int* offsets, int* sorted, int4* blocks, int* count, int* counters, u32* early, int block_rows)
        {
            const SortParameters p = {ids, {offsets, sorted, blocks, count, {counters}, early, counters + 3 + experts, block_rows, experts, FIRST}, pairs};
            for (int e = 0; e < experts; e++)
            {
                run_block(1024, [=] {
                    blockIdx = {e, 0};
                    moe_sort(p);
                });
            }
        }
        """;

    private const string InBlock =
        """
        #include "routing/sort.cuh"
        extern "C" void run(const int* ids, int pairs, int experts, int* offsets, int* sorted, int4* blocks, int* count, int* counters, u32* early, int block_rows)
        {
            run_block(THREADS, [=] {
                sort_pairs<THREADS>(ids, pairs, {offsets, sorted, blocks, count, {counters}, early, nullptr, block_rows, experts, FIRST}, (int*)shared_memory);
            });
        }
        """;

    public static TheoryData<string, int, int, int> Cases => new()
    {
        { "launch", 1, 3, 0 },
        { "launch", 4100, 5, 32 },
        { "launch", 9000, 3, 0 },
        { "launch", 700, 20, 8 },
        { "block", 33, 1, 32 },
        { "block", 512, 40, 8 },
        { "block", 500, 32, 0 },
        { "block", 32, 8, 4 },
        { "block", 5, 300, 0 },
        { "block", 1, 512, 16 },
        { "block", 64, 24, 0 },
        { "block", 65, 24, 0 },
        { "wide block", 512, 32, 0 },
        { "wide block", 256, 32, 32 },
        { "wide block", 4, 20, 0 },
    };

    /// <summary>Ids outside of the experts' are left out, but that the router makes none; and some experts get no pairs.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void Pairs_are_in_the_order_of_their_expert_and_then_their_own(string kind, int pairs, int experts, int blockRows)
    {
        var random = new Random(pairs);
        int first = pairs % 3;  // of this device's experts
        int[] ids = [.. Enumerable.Range(0, pairs).Select(i => i % 17 == 3 ? random.Next(2) == 0 ? -1 : experts : random.Next(experts) / 2 * 2)];
        int[] expected = [.. Enumerable.Range(0, pairs).Where(i => ids[i] >= 0 && ids[i] < experts).OrderBy(i => ids[i])];
        int[] global = [.. ids.Select(id => id + first)];
        int[] offsets = new int[experts + 2];
        int[] sorted = new int[pairs + 1];
        int[] blocks = new int[4 * (pairs + experts + 1)];
        int count = Untouched;
        Array.Fill(offsets, Untouched);
        Array.Fill(sorted, Untouched);
        Array.Fill(blocks, Untouched);
        int[] early = new int[experts + 2];
        Array.Fill(early, Untouched);
        int[] counters = [.. Enumerable.Repeat(Untouched, 2 + experts), Untouched, Untouched];
        (string file, string text) = kind switch
        {
            "launch" => ("sort.cu", Launch),
            "block" => ("routing/sort.cuh", InBlock.Replace("THREADS", "256", StringComparison.Ordinal)),
            _ => ("routing/sort.cuh", InBlock.Replace("THREADS", "512", StringComparison.Ordinal)),
        };
        using (HostLibrary library = HostLibrary.CompileBlock(file, text.Replace("FIRST", $"{first}", StringComparison.Ordinal)))
        {
            var run = (delegate* unmanaged<int*, int, int, int*, int*, int*, int*, int*, int*, int, void>)library.Export("run");
            fixed (int* i = global, o = offsets, s = sorted, b = blocks, c = counters, a = early)
            {
                run(i, pairs, experts, o, s, b, &count, c, a, blockRows);
            }
        }

        Assert.Equal([.. new int[2 + experts], Untouched, kind == "launch" ? 0 : Untouched], counters);
        Assert.Equal(expected, sorted[..expected.Length]);
        Assert.All(sorted[expected.Length..], value => Assert.Equal(Untouched, value));
        Assert.Equal([.. Enumerable.Range(0, experts + 1).Select(e => expected.Count(i => ids[i] < e)), Untouched], offsets);
        Assert.Equal(offsets, early);
        var wanted = new List<int>();
        for (int e = 0; e < experts && blockRows > 0; e++)
        {
            for (int row = offsets[e]; row < offsets[e + 1]; row += blockRows)
            {
                wanted.AddRange([e, row, Math.Min(blockRows, offsets[e + 1] - row), 0]);
            }
        }

        Assert.Equal(wanted, blocks[..wanted.Count]);
        Assert.All(blocks[wanted.Count..], value => Assert.Equal(Untouched, value));
        Assert.Equal(blockRows > 0 ? wanted.Count / 4 : Untouched, count);
    }
}
