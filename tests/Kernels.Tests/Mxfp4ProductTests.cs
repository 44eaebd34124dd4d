using Moe.Plugins.Cuda;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>The MXFP4 products' own code, on a model of a thread block with its barriers, copies and matrix instructions, against float64.</summary>
public sealed unsafe class Mxfp4ProductTests
{
    private const int Experts = 4;
    private const int Hidden = 160;
    private const int Intermediate = 736;
    private const ushort Untouched = 0x7FFF;

    private const string Grouped =
        """
        constexpr int kTokens = TOKENS, kRows = ROWS, kSteps = STEPS;
        using Product = Mxfp4Grouped<ARGUMENTS>;
        extern "C" int run(int is_second, char* groups, const float* factor, const float* bias, u16* x, int stride, int top_k, int pairs, u16* out,
                           const int* offsets, const int* sorted, int weight_rows, int depth, int experts, int columns, int parts, int unfinished)
        {
            const i64 groups_of_band = ceil_div(depth, kGroupDepth) * 4, bands = ceil_div(weight_rows, 64), row = depth * 2;

            // These find rows in the sorted order, where another kernel brings the tokens'.
            std::vector<u16> ordered(pairs * depth);
            for (int place = 0; place < pairs; place++)
            {
                std::memcpy(&ordered[place * depth], x + (i64)(is_second ? place : sorted[place] / top_k) * stride, row);
            }

            char* rows = (char*)ordered.data();
            Mxfp4GroupedParameters p = {};
            HostCounters counters(offsets, experts, kTokens, ceil_div(is_second ? NEURON_ROWS * depth : weight_rows, kRows), is_second, unfinished);
            p.counters = {counters.words.data()};
            p.weight = {groups, {136, groups_of_band, bands, experts}, {kGroupBytes, groups_of_band * kGroupBytes, bands * groups_of_band * kGroupBytes}, {136, 4 * kSteps, kRows / 64, 1}, 4, 4, 0};
            p.wide = {rows, {depth, pairs}, {row}, {64, TokenBoxes::kWide}, 2, 2, 1};
            p.narrow = {rows, {depth, pairs}, {row}, {64, TokenBoxes::kNarrow}, 2, 2, 1};
            p.bias = bias, p.factor = factor, p.out = out, p.expert_offsets = offsets, p.sorted_pairs = sorted, p.out_stride = columns;
            p.parts = parts, p.part_stride = (i64)pairs * columns;
            p.rows = weight_rows, p.depth = depth, p.experts = experts, p.activation = {1.702f, 7, 1};
            gridDim = {2, 1};
            for (int b = 0; b < gridDim.x; b++)
            {
                run_block(Product::kThreads, [=] {
                    blockIdx = {b, 0};
                    is_second ? moe_mxfp4_product2<ARGUMENTS>(p) : moe_mxfp4_product1<ARGUMENTS>(p);
                });
            }

            return counters.is_all_stored();
        }
        """;

    private const string Mma =
        """
        extern "C" int run(int is_second, u8* groups, const float* factor, const float* bias, u16* x, int stride, int top_k, int pairs, u16* out,
                           const int* offsets, const int* sorted, int weight_rows, int depth, int experts, int columns, int, int)
        {
            std::vector<int4> blocks;
            for (int e = 0; e < experts; e++)
            {
                for (int first = offsets[e]; first < offsets[e + 1]; first += kTokens)
                {
                    blocks.push_back({e, first, min(kTokens, offsets[e + 1] - first), 0});
                }
            }

            const int count = (int)blocks.size();
            const Mxfp4MmaParameters p = {groups, factor, bias, x, out, sorted, blocks.data(), &count, stride, columns, weight_rows, depth, top_k, {1.702f, 7, 1}};
            gridDim = {2, 1};
            for (int b = 0; b < gridDim.x; b++)
            {
                run_block(kThreads, [=] {
                    blockIdx = {b, 0};
                    is_second ? moe_mxfp4_mma_product2(p) : moe_mxfp4_mma_product1<ACTIVATION>(p);
                });
            }

            return 1;
        }
        """;

    public static TheoryData<string, string> Products()
    {
        var data = new TheoryData<string, string>();
        foreach (KernelUnit unit in Units())
        {
            string arguments = Arguments(unit);
            foreach (string activation in new[] { "Activation", "GatedActivation", "ReluSquared" })
            {
                // Every tile with the common activation, and one with each other.
                bool isIts = unit.File == "mxfp4_mma.cu" || (activation == "Activation" ? !arguments.Contains("ctivation", StringComparison.Ordinal)
                        && !arguments.Contains("Relu", StringComparison.Ordinal) : arguments.Contains($" {activation},", StringComparison.Ordinal)
                        && arguments.StartsWith(activation == "ReluSquared" ? "80, 256" : "32, 128", StringComparison.Ordinal));
                if (isIts)
                {
                    data.Add(unit.ToString(), activation);
                }
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Products))]
    public void Every_tile_of_every_expert_is_the_products(string unit, string activation)
    {
        KernelUnit chosen = Assert.Single(Units(), candidate => candidate.ToString() == unit);
        int tileTokens = chosen.File == "mxfp4_grouped.cu" ? int.Parse(Arguments(chosen).Split(", ")[0], provider: null) : 64;
        bool hasGates = activation != "ReluSquared";

        // None, few, a tile and a bit more than fills the next ones, and one.
        int[] counts = [0, 5, tileTokens + 11, 1];
        using HostLibrary library = Compile(chosen, activation);
        int rows = hasGates ? 2 * Intermediate : Intermediate;
        Run(library, PackedMatrix.Random(Experts, rows, Hidden, isGateUp: hasGates, lowestScale: 125), counts, isSecond: false, hasBias: true, hasGates: hasGates);

        // The bias of the warp matrix kernels' second product is the combine's.
        bool isGrouped = chosen.File == "mxfp4_grouped.cu";
        var down = PackedMatrix.Random(Experts, Hidden, Intermediate, isGateUp: false, lowestScale: 119);
        Run(library, down, counts, isSecond: true, hasBias: isGrouped);
        if (isGrouped)
        {
            Run(library, down, counts, isSecond: true, hasBias: true, parts: 4);
        }
    }

    [Theory]
    [InlineData("32, 64")]
    [InlineData("32, 128")]
    public void Codes_that_are_dealt_for_E4M3_are_the_same_products(string tile)
    {
        KernelUnit chosen = Units().First(unit => unit.File == "mxfp4_grouped.cu" && Arguments(unit).StartsWith(tile, StringComparison.Ordinal));
        using HostLibrary library = Compile(chosen, "Activation", ", Activation, 512, DealtForE4m3");
        Run(library, PackedMatrix.Random(Experts, 2 * Intermediate, Hidden, isGateUp: true, lowestScale: 125).DealForE4M3(), [0, 5, 37, 1], isSecond: false, hasBias: true);
        Run(library, PackedMatrix.Random(Experts, Hidden, Intermediate, isGateUp: false, lowestScale: 119).DealForE4M3(), [0, 5, 37, 1], isSecond: true, hasBias: true);
    }

    /// <summary>Of an expert whose rows the first product has not all stored nothing is multiplied, and what comes before it is.</summary>
    [Fact]
    public void The_second_product_waits_for_an_experts_rows()
    {
        using HostLibrary library = Compile(Units().First(unit => unit.File == "mxfp4_grouped.cu"), "Activation");
        var down = PackedMatrix.Random(Experts, Hidden, Intermediate, isGateUp: false, lowestScale: 119);
        Run(library, down, [3, 2, 4, 1], isSecond: true, hasBias: true, unfinished: 2);
    }

    /// <summary>First products, whose second have the same arguments.</summary>
    private static IEnumerable<KernelUnit> Units() => Mxfp4Experts
        .Units(new CudaArchitecture(9, 0), Mxfp4Activations.BFloat16)
        .Where(unit => unit.File == "mxfp4_mma.cu" || (unit.File == "mxfp4_grouped.cu" && unit.Instances[0].StartsWith("moe_mxfp4_product1<", StringComparison.Ordinal)));

    private static HostLibrary Compile(KernelUnit unit, string activation, string furtherArguments = "")
    {
        string text = Mma.Replace("ACTIVATION", activation, StringComparison.Ordinal);
        if (unit.File == "mxfp4_grouped.cu")
        {
            string arguments = Arguments(unit);
            string[] values = arguments.Split(", ");
            text = Grouped.Replace("ARGUMENTS", arguments + furtherArguments, StringComparison.Ordinal).Replace("TOKENS", values[0], StringComparison.Ordinal)
                .Replace("NEURON_ROWS", activation == "ReluSquared" ? "1" : "2", StringComparison.Ordinal)
                .Replace("ROWS", values[1], StringComparison.Ordinal).Replace("STEPS", values[3], StringComparison.Ordinal);
        }

        return HostLibrary.CompileBlock(unit.File, $"#include \"formats/mxfp4_e4m3.cuh\"\n#include \"{unit.File}\"\n{text}", "mxfp4_fp8_load.cu");
    }

    /// <summary>Those of the products' templates.</summary>
    private static string Arguments(KernelUnit unit) => unit.Instances[0][(unit.Instances[0].IndexOf('<', StringComparison.Ordinal) + 1)..^1];

    private static void Run(HostLibrary library, PackedMatrix matrix, int[] counts, bool isSecond, bool hasBias, int parts = 1, int unfinished = -1, bool hasGates = true)
    {
        int pairs = counts.Sum();
        int columns = isSecond || !hasGates ? matrix.Rows : matrix.Rows / 2;
        var random = new Random(pairs);
        int[] offsets = [0, .. counts.Select((_, i) => counts.Take(i + 1).Sum())];
        int[] sorted = [.. Enumerable.Range(0, pairs)];
        random.Shuffle(sorted);

        // The first product reads tokens' rows, with room between them, the second pairs'.
        const int TopK = 2;
        int stride = isSecond ? matrix.Depth : matrix.Depth + 8;
        ushort[] input = [.. Enumerable.Range(0, pairs * stride).Select(_ => BFloat16.FromDouble((float)(random.NextDouble() - 0.5)))];
        float[] bias = [.. Enumerable.Range(0, Experts * matrix.Rows).Select(_ => (float)random.NextDouble())];

        // A row before and one behind what may be written.
        int rows = parts * pairs;
        ushort[] output = new ushort[(rows + 2) * columns];
        Array.Fill(output, Untouched);

        var run = (delegate* unmanaged<int, byte*, float*, float*, ushort*, int, int, int, ushort*, int*, int*, int, int, int, int, int, int, int>)library.Export("run");
        bool hasFactors = matrix.Factors.Any(factor => factor != 1);
        fixed (byte* groups = matrix.Groups)
        {
            fixed (float* factors = matrix.Factors, b = bias)
            {
                fixed (ushort* x = input, y = output)
                {
                    fixed (int* first = offsets, order = sorted)
                    {
                        int isAllStored = run(
                            isSecond ? 1 : 0, groups, hasFactors ? factors : null, hasBias ? b : null, x, stride, TopK, pairs, y + columns, first, order,
                            matrix.Rows, matrix.Depth, Experts, columns, parts, unfinished);
                        Assert.Equal(unfinished < 0, isAllStored == 1);
                    }
                }
            }
        }

        Assert.Equal(-1, output.AsSpan(0, columns).IndexOfAnyExcept(Untouched));
        Assert.Equal(-1, output.AsSpan((rows + 1) * columns).IndexOfAnyExcept(Untouched));
        double[] row = new double[matrix.Depth];
        for (int place = 0; place < pairs; place++)
        {
            int expert = Array.FindIndex(offsets, offset => offset > place) - 1;
            for (int i = 0; i < row.Length; i++)
            {
                row[i] = BFloat16.ToSingle(input[((isSecond ? place : sorted[place] / TopK) * stride) + i]);
            }

            int target = isSecond ? sorted[place] : place;
            if (expert == unfinished)
            {
                Assert.Equal(-1, output.AsSpan((target + 1) * columns, columns).IndexOfAnyExcept(Untouched));
            }

            if (unfinished >= 0 && expert >= unfinished)
            {
                continue;
            }

            for (int column = 0; column < columns; column++)
            {
                double expected = isSecond || !hasGates
                    ? matrix.Multiply(expert, column, row) + (hasBias ? bias[(expert * matrix.Rows) + column] : 0)
                    : ReferenceSwiGlu.Of(
                        matrix.Multiply(expert, 2 * column, row) + bias[(expert * matrix.Rows) + (2 * column)],
                        matrix.Multiply(expert, (2 * column) + 1, row) + bias[(expert * matrix.Rows) + (2 * column) + 1]);
                expected = isSecond || hasGates ? expected : Math.Pow(Math.Max(expected, 0), 2);
                double[] sums = [.. Enumerable.Range(0, parts).Select(part => BFloat16.ToSingle(output[(((part * pairs) + target + 1) * columns) + column]))];
                Assert.True(
                    Math.Abs(sums.Sum() - expected) <= (sums.Sum(Math.Abs) / 256) + 1e-3,
                    $"expert {expert}, row {place - offsets[expert]} of {counts[expert]}, column {column}: {sums.Sum()}, expected {expected}");
            }
        }
    }
}
