using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>The router of few tokens, all of its blocks one after the other on a model of a thread block.</summary>
public sealed unsafe class RouterKernelTests
{
    private const int Hidden = 136;
    private const int TopK = 4;
    private const int Untouched = -7;

    private const string Exports =
        """
        #include "router.cu"
        extern "C" void run(const u16* x, const u16* weight, const float* bias, int* ids, float* weights, int* offsets, int* sorted, int* counters, int* early, float* words, int* tickets,
                            int tokens, int experts, int x_blocks, int y_blocks, int z_blocks)
        {
            const RouterParameters p = {x, weight, bias, ids, weights, {offsets, sorted, nullptr, nullptr, {counters}, (u32*)early, tickets + tokens + 1, 0, experts, 0}, HIDDEN, tokens, HIDDEN, experts, TOPK, 1, 0, 1};
            const SplitRouterParameters q = {p, words, tickets, 1};
            gridDim = {x_blocks, y_blocks, z_blocks};
            for (int z = 0; z < z_blocks; z++)
            {
                for (int y = 0; y < y_blocks; y++)
                {
                    for (int b = 0; b < x_blocks; b++)
                    {
                        run_block(256, [=] {
                            blockIdx = {b, y, z};
                            moe_router_8(q);
                        });
                    }
                }
            }
        }
        """;

    [Theory]
    [InlineData(3, 70, 3)]
    [InlineData(11, 33, 1)]
    public void The_last_block_chooses_when_all_logits_have_come_and_leaves_no_trace(int tokens, int experts, int parts)
    {
        var random = new Random(experts);
        ushort[] x = [.. Enumerable.Range(0, tokens * Hidden).Select(_ => BFloat16.FromDouble(random.NextDouble() - 0.5))];
        ushort[] weight = [.. Enumerable.Range(0, experts * Hidden).Select(_ => BFloat16.FromDouble(random.NextDouble() - 0.5))];
        float[] bias = new float[RoutingBuffers.MaxExperts];
        bias[experts - 1] = 3;
        int pairs = tokens * TopK;
        int[] ids = new int[pairs], offsets = new int[experts + 1], sorted = new int[pairs], counters = new int[2 + experts], early = new int[experts + 1], tickets = new int[tokens + 2];
        float[] weights = new float[pairs];
        Array.Fill(counters, Untouched);
        tickets[^1] = Untouched;  // the early counter
        float[] words = [.. Enumerable.Repeat(BitConverter.UInt32BitsToSingle(uint.MaxValue), (parts * tokens * experts) + 1024)];
        string text = Exports.Replace("HIDDEN", $"{Hidden}", StringComparison.Ordinal).Replace("TOPK", $"{TopK}", StringComparison.Ordinal);
        using (HostLibrary library = HostLibrary.CompileBlock("router.cu", text))
        {
            var run = (delegate* unmanaged<ushort*, ushort*, float*, int*, float*, int*, int*, int*, int*, float*, int*, int, int, int, int, int, void>)library.Export("run");
            fixed (ushort* input = x, w = weight)
            {
                fixed (float* b = bias, chosen = weights, empty = words)
                {
                    fixed (int* id = ids, o = offsets, s = sorted, c = counters, a = early, t = tickets)
                    {
                        run(input, w, b, id, chosen, o, s, c, a, empty, t, tokens, experts, (tokens + 7) / 8, ((experts + 15) / 16) + 1, parts);
                    }
                }
            }
        }

        Assert.All(words, word => Assert.Equal(uint.MaxValue, BitConverter.SingleToUInt32Bits(word)));
        Assert.All(tickets, ticket => Assert.Equal(0, ticket));
        Assert.All(counters, counter => Assert.Equal(0, counter));
        for (int token = 0; token < tokens; token++)
        {
            double[] logits = [.. Enumerable.Range(0, experts).Select(expert => Enumerable.Range(0, Hidden)
                .Sum(h => (double)BFloat16.ToSingle(x[(token * Hidden) + h]) * BFloat16.ToSingle(weight[(expert * Hidden) + h])) + bias[expert])];
            int[] best = [.. Enumerable.Range(0, experts).OrderByDescending(expert => logits[expert]).Take(TopK)];
            double sum = best.Sum(expert => Math.Exp(logits[expert]));
            Assert.Equal(best, ids[(token * TopK)..((token + 1) * TopK)]);
            Assert.All(Enumerable.Range(0, TopK), k => Assert.Equal(Math.Exp(logits[best[k]]) / sum, weights[(token * TopK) + k], 1e-5));
        }

        Assert.Equal(Enumerable.Range(0, pairs).OrderBy(pair => ids[pair]), sorted);
        Assert.Equal(Enumerable.Range(0, experts + 1).Select(expert => ids.Count(id => id < expert)), offsets);
        Assert.Equal(offsets, early);
    }
}
