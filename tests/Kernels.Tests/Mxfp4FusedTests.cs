using Moe.Plugins.Cuda;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>Both products in one launch, on a model of a thread block, against float64.</summary>
public sealed unsafe class Mxfp4FusedTests
{
    private const int Experts = 4;
    private const int TopK = 2;
    private const int Tokens = 5;
    private const int Hidden = 160;
    private const int Intermediate = 352;
    private const ushort Untouched = 0x7FFF;

    private const string Exports =
        """
        constexpr int kRows = 64, kSteps = 2;
        using Product = NAME<ARGUMENTS>;
        Mxfp4GroupedParameters product(char* groups, const float* factor, const float* bias, int rows, int depth, int experts)
        {
            const i64 in_band = ceil_div(depth, kGroupDepth) * 4, bands = ceil_div(rows, 64);
            Mxfp4GroupedParameters p = {};
            p.weight = {groups, {136, in_band, bands, experts}, {kGroupBytes, in_band * kGroupBytes, bands * in_band * kGroupBytes}, {136, 4 * kSteps, kRows / 64, 1}, 4, 4, 0};
            p.factor = factor, p.bias = bias, p.rows = rows, p.depth = depth, p.experts = experts, p.activation = {1.702f, 7, 1}, p.parts = 1;
            return p;
        }
        extern "C" void run(char* up, const float* up_factor, const float* up_bias, char* down, const float* down_factor, const float* down_bias, char* x, int tokens,
                            int top_k, u16* act, u16* out, const int* offsets, const int* sorted, int hidden, int intermediate, int experts, int parts)
        {
            const int pairs = offsets[experts], box = BOX;
            std::vector<int> counters(2 + experts);
            NAMEParameters q = {product(up, up_factor, up_bias, 2 * intermediate, hidden, experts), product(down, down_factor, down_bias, hidden, intermediate, experts)};
            for (Mxfp4GroupedParameters* p : {&q.first, &q.second})
            {
                p->expert_offsets = offsets, p->sorted_pairs = sorted, p->counters = {counters.data()}, p->top_k = top_k, p->columns = box;
            }

            q.first.narrow = {x, {hidden, tokens}, {hidden * 2}, {64, box}, 2, 2, 1};
            q.first.out = act, q.first.out_stride = intermediate;
            q.second.narrow = {(char*)act, {intermediate, pairs}, {intermediate * 2}, {64, box}, 2, 2, 1};
            q.second.out = out, q.second.out_stride = hidden, q.second.parts = parts, q.second.part_stride = (i64)pairs * hidden;
            gridDim = {2, 1};
            for (int b = 0; b < gridDim.x; b++)
            {
                run_block(Product::kThreads, [=] {
                    blockIdx = {b, 0};
                    ENTRY<ARGUMENTS>(q);
                });
            }
        }
        """;

    [Theory]
    [InlineData("fused", "Mxfp4Fused", 1, false)]
    [InlineData("fused", "Mxfp4Fused", 2, false)]
    [InlineData("fused", "Mxfp4Fused", 2, true)]
    [InlineData("stream", "Mxfp4Stream", 1, false)]
    [InlineData("stream", "Mxfp4Stream", 2, false)]
    [InlineData("stream", "Mxfp4Stream", 2, true)]
    public void Every_pair_has_both_products(string kernel, string type, int parts, bool isTwice)
    {
        string file = $"mxfp4_{kernel}.cu";
        KernelUnit unit = Mxfp4Experts.Units(new CudaArchitecture(9, 0), Mxfp4Activations.BFloat16).Single(unit => unit.File == file);
        string arguments = unit.Instances[0][(unit.Instances[0].IndexOf('<', StringComparison.Ordinal) + 1)..^1];
        string text = Exports.Replace("ARGUMENTS", arguments, StringComparison.Ordinal).Replace("NAME", type, StringComparison.Ordinal)
            .Replace("BOX", kernel == "stream" ? "tokens" : "8", StringComparison.Ordinal).Replace("ENTRY", $"moe_mxfp4_{kernel}", StringComparison.Ordinal);

        // Expert 2 gets nobody, 0 every token; or twice, so that it has more pairs than a tile has columns.
        int[] ids = [.. Enumerable.Range(0, Tokens * TopK).Select(pair => isTwice || pair % TopK == 0 ? 0 : 1 + (pair / TopK % 2 * 2))];
        int[] sorted = [.. Enumerable.Range(0, ids.Length).OrderBy(pair => ids[pair])];
        int[] offsets = [.. Enumerable.Range(0, Experts + 1).Select(expert => ids.Count(id => id < expert))];
        PackedMatrix up = PackedMatrix.Random(Experts, 2 * Intermediate, Hidden, isGateUp: true, lowestScale: 119);
        PackedMatrix down = PackedMatrix.Random(Experts, Hidden, Intermediate, isGateUp: false, lowestScale: 119);
        var random = new Random(parts);
        ushort[] x = [.. Enumerable.Range(0, Tokens * Hidden).Select(_ => BFloat16.FromDouble(random.NextDouble() - 0.5))];
        float[] upBias = [.. Enumerable.Range(0, Experts * 2 * Intermediate).Select(_ => (float)random.NextDouble())];
        float[] downBias = [.. Enumerable.Range(0, Experts * Hidden).Select(_ => (float)random.NextDouble())];
        ushort[] act = new ushort[(ids.Length + 1) * Intermediate];
        ushort[] output = new ushort[(((parts * ids.Length) + 1) * Hidden)];
        Array.Fill(act, Untouched);
        Array.Fill(output, Untouched);
        using (HostLibrary library = HostLibrary.CompileBlock(file, $"#include \"{file}\"\n{text}"))
        {
            var run = (delegate* unmanaged<byte*, float*, float*, byte*, float*, float*, ushort*, int, int, ushort*, ushort*, int*, int*, int, int, int, int, void>)library.Export("run");
            fixed (byte* ug = up.Groups, dg = down.Groups)
            {
                fixed (float* ub = upBias, db = downBias)
                {
                    fixed (ushort* input = x, a = act, y = output)
                    {
                        fixed (int* first = offsets, order = sorted)
                        {
                            run(ug, null, ub, dg, null, db, input, Tokens, TopK, a, y, first, order, Hidden, Intermediate, Experts, parts);
                        }
                    }
                }
            }
        }

        Assert.Equal(-1, act.AsSpan(ids.Length * Intermediate).IndexOfAnyExcept(Untouched));
        Assert.Equal(-1, output.AsSpan(parts * ids.Length * Hidden).IndexOfAnyExcept(Untouched));
        for (int place = 0; place < ids.Length; place++)
        {
            int pair = sorted[place];
            double[] row = [.. x.AsSpan(pair / TopK * Hidden, Hidden).ToArray().Select(bits => (double)BFloat16.ToSingle(bits))];
            double[] own = [.. act.AsSpan(place * Intermediate, Intermediate).ToArray().Select(bits => (double)BFloat16.ToSingle(bits))];
            int expert = ids[pair];
            for (int i = 0; i < Intermediate; i++)
            {
                int gate = (expert * 2 * Intermediate) + (2 * i);
                double expected = ReferenceSwiGlu.Of(up.Multiply(expert, 2 * i, row) + upBias[gate], up.Multiply(expert, (2 * i) + 1, row) + upBias[gate + 1]);
                Assert.Equal(expected, own[i], (Math.Abs(expected) / 256) + 1e-3);
            }

            for (int column = 0; column < Hidden; column++)
            {
                double expected = down.Multiply(expert, column, own) + downBias[(expert * Hidden) + column];
                double[] sums = [.. Enumerable.Range(0, parts).Select(part => (double)BFloat16.ToSingle(output[(((part * ids.Length) + pair) * Hidden) + column]))];
                Assert.Equal(expected, sums.Sum(), (sums.Sum(Math.Abs) / 256) + 1e-3);
            }
        }
    }
}
