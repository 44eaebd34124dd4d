using Moe.Plugins.Tests;

namespace Moe.Plugins.Bf16.Tests;

/// <summary>The code of the products for many tokens, on a model of a thread block with its barriers, copies and matrix instructions, against float64.</summary>
public sealed unsafe class PrefillModelTests
{
    private const int Experts = 4;
    private const ushort Untouched = 0x7FFF;

    private const string Exports =
        """
        #include "bf16_prefill.cu"
        extern "C" int run(int is_second, char* weights, const float* bias, char* tokens, int pairs, u16* out, const int* offsets, const int* sorted,
                            int rows, int depth, int experts, int columns)
        {
            const i64 row = depth * 2;
            GroupedParameters p = {};
            HostCounters counters(offsets, experts, TileTokens<ACTIVATION>::kMost, ceil_div(is_second ? ACTIVATION::kNeuronRows * depth : rows, kRows), is_second);
            p.counters = {counters.words.data()};
            p.weight = is_second || ACTIVATION::kNeuronRows == 1 ? TensorMap{weights, {depth, rows, experts}, {row, rows * row}, {64, kRows, 1}, 3, 2, 1}
                                 : TensorMap{weights, {depth, 8, 2, rows / 16, experts}, {2 * row, row, 16 * row, rows * row}, {64, 8, 2, kRows / 16, 1}, 5, 2, 1};
            p.tokens = {tokens, {depth, pairs}, {row}, {64, kTokenBox}, 2, 2, 1};
            p.bias = bias, p.out = out, p.expert_offsets = offsets, p.sorted_pairs = sorted, p.out_stride = columns;
            p.rows = rows, p.depth = depth, p.experts = experts, p.activation = {1.702f, 7, 1};
            gridDim = {2, 1};
            for (int b = 0; b < gridDim.x; b++)
            {
                run_block(kThreads, [=] {
                    blockIdx = {b, 0};
                    is_second ? moe_bf16_prefill_product2<ACTIVATION>(p) : moe_bf16_prefill_product1<ACTIVATION>(p);
                });
            }

            return counters.is_all_stored();
        }
        """;

    /// <summary>Sizes that are multiples of 8 and of nothing larger; none, few, more than a tile's 256, and one token.</summary>
    [Theory]
    [InlineData(false, 208, 136, "Activation")]
    [InlineData(true, 200, 328, "Activation")]
    [InlineData(false, 208, 136, "GatedActivation")]
    [InlineData(false, 200, 136, "ReluSquared")]
    [InlineData(true, 200, 72, "ReluSquared")]
    public void Every_tile_of_every_expert_is_the_products(bool isSecond, int rows, int depth, string activation)
    {
        bool hasGates = activation != "ReluSquared";
        int[] counts = [0, 5, 259, 1];
        int pairs = counts.Sum();
        int columns = isSecond || !hasGates ? rows : rows / 2;
        var random = new Random(rows);
        int[] offsets = [0, .. counts.Select((_, i) => counts.Take(i + 1).Sum())];
        int[] sorted = [.. Enumerable.Range(0, pairs)];
        random.Shuffle(sorted);
        ushort[] weights = [.. Enumerable.Range(0, Experts * rows * depth).Select(_ => BFloat16.FromDouble((random.NextDouble() - 0.5) / 2))];
        ushort[] input = [.. Enumerable.Range(0, pairs * depth).Select(_ => BFloat16.FromDouble(random.NextDouble() - 0.5))];
        float[] bias = [.. Enumerable.Range(0, Experts * rows).Select(_ => (float)random.NextDouble())];

        // A row before and one behind what may be written.
        ushort[] output = new ushort[(pairs + 2) * columns];
        Array.Fill(output, Untouched);
        using (HostLibrary library = HostLibrary.CompileBlock("bf16_prefill.cu", Exports.Replace("ACTIVATION", activation, StringComparison.Ordinal)))
        {
            var run = (delegate* unmanaged<int, ushort*, float*, ushort*, int, ushort*, int*, int*, int, int, int, int, int>)library.Export("run");
            fixed (ushort* w = weights, x = input, y = output)
            {
                fixed (float* b = bias)
                {
                    fixed (int* first = offsets, order = sorted)
                    {
                        int isAllStored = run(isSecond ? 1 : 0, w, b, x, pairs, y + columns, first, order, rows, depth, Experts, columns);
                        Assert.Equal(1, isAllStored);
                    }
                }
            }
        }

        Assert.Equal(-1, output.AsSpan(0, columns).IndexOfAnyExcept(Untouched));
        Assert.Equal(-1, output.AsSpan((pairs + 1) * columns).IndexOfAnyExcept(Untouched));
        double[] weightValues = [.. weights.Select(bits => (double)BFloat16.ToSingle(bits))];
        double[] inputValues = [.. input.Select(bits => (double)BFloat16.ToSingle(bits))];
        for (int place = 0; place < pairs; place++)
        {
            int expert = Array.FindIndex(offsets, offset => offset > place) - 1;
            double Multiply(int row)
            {
                double sum = bias[(expert * rows) + row];
                for (int i = 0; i < depth; i++)
                {
                    sum += weightValues[(((expert * rows) + row) * depth) + i] * inputValues[(place * depth) + i];
                }

                return sum;
            }

            for (int column = 0; column < columns; column++)
            {
                double expected = isSecond ? Multiply(column)
                    : !hasGates ? Math.Pow(Math.Max(Multiply(column), 0), 2)
                    : ReferenceSwiGlu.Of(Multiply(2 * column), Multiply((2 * column) + 1));
                double actual = BFloat16.ToSingle(output[(((isSecond ? sorted[place] : place) + 1) * columns) + column]);
                Assert.True(
                    Math.Abs(actual - expected) <= (Math.Abs(expected) / 256) + 1e-4,
                    $"expert {expert}, row {place - offsets[expert]} of {counts[expert]}, column {column}: {actual}, expected {expected}");
            }
        }
    }
}
