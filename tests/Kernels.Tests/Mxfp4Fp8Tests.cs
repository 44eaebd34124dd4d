using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>The products on FP8 tensor cores and what stands around them, on a model of a thread block, against float64.</summary>
public sealed unsafe class Mxfp4Fp8Tests
{
    private const int Experts = 4;
    private const int Hidden = 288;
    private const int Intermediate = 352;
    private const int Chunk = 128;
    private const ushort Untouched = 0x7FFF;

    private const string Exports =
        """
        #include "mxfp4_fp8.cu"
        #include "gather_e4m3.cu"
        #include "mxfp4_fp8_load.cu"
        constexpr int kTokens = 128, kGroups = 2, kStages = 6, kRegisters = 232, kLoaderRegisters = 40, kSharedBytes = 222720;
        using Product = Mxfp4Fp8<kTokens, kGroups, kStages, kRegisters, kLoaderRegisters, kSharedBytes>;
        extern "C" void gather(const u8* codes, const u8* scales, u8* out, float* out_scales, const int* sorted, const int* offsets, int stride,
                               int columns, int top_k, int experts)
        {
            const GatherE4m3Parameters p = {codes, scales, out, out_scales, sorted, offsets, stride, columns, top_k, experts};
            gridDim = {2, 1};
            for (int b = 0; b < gridDim.x; b++)
            {
                run_block(256, [=] { blockIdx = {b, 0}; moe_gather_e4m3(p); });
            }
        }

        extern "C" void know_rows(const u8* groups, const float* factor, float* out_factor, u8* largest, u8* is_split, int* splits, int rows, int depth,
                                  int gate_up, int experts)
        {
            const Mxfp4Fp8RowsParameters p = {groups, factor, out_factor, largest, is_split, splits, rows, depth, gate_up};
            for (int e = 0; e < experts; e++)
            {
                for (int b = 0; b < ceil_div(rows / kGroupRows, 8); b++)
                {
                    run_block(256, [=] { blockIdx = {b, e}; moe_mxfp4_fp8_rows(p); });
                }
            }
        }

        extern "C" int run(int is_second, char* groups, const float* factor, const u8* largest, const u8* is_split, const float* bias, char* rows,
                           const float* row_scales, const u8* scales, int scale_stride, int pairs, void* out, u8* out_scales, const int* offsets,
                           const int* sorted, int weight_rows, int depth, int experts, int columns)
        {
            const i64 in_band = ceil_div(depth, kGroupDepth) * 4, bands = ceil_div(weight_rows, 64);
            HostCounters counters(offsets, experts, kTokens, ceil_div(is_second ? 2 * depth : weight_rows, Product::kRows), is_second);
            Mxfp4Fp8Parameters p = {};
            p.counters = {counters.words.data()};
            p.weight = {groups, {136, in_band, bands, experts}, {kGroupBytes, in_band * kGroupBytes, bands * in_band * kGroupBytes}, {136, 8, 4, 1}, 4, 4, 0};
            p.wide = {rows, {depth, pairs}, {depth}, {128, TokenBoxes::kWide}, 2, 1, 1};
            p.narrow = {rows, {depth, pairs}, {depth}, {128, TokenBoxes::kNarrow}, 2, 1, 1};
            p.row_scales = row_scales, p.scales = scales;
            p.bias = bias, p.factor = factor, p.largest = largest, p.is_split = is_split, p.out = out, p.out_scales = out_scales;
            p.expert_offsets = offsets, p.sorted_pairs = sorted, p.out_stride = columns, p.scale_stride = scale_stride;
            p.rows = weight_rows, p.depth = depth, p.experts = experts, p.activation = {1.702f, 7, 1};
            gridDim = {2, 1};
            for (int b = 0; b < gridDim.x; b++)
            {
                run_block(Product::kThreads, [=] {
                    blockIdx = {b, 0};
                    is_second ? moe_mxfp4_fp8_product2<kTokens, kGroups, kStages, kRegisters, kLoaderRegisters, kSharedBytes>(p) : moe_mxfp4_fp8_product1<kTokens, kGroups, kStages, kRegisters, kLoaderRegisters, kSharedBytes>(p);
                });
            }

            return counters.is_all_stored();
        }
        """;

    /// <summary>Scales that a table holds, and rows beside them that are multiplied 32 inputs at a time.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(71)]
    public void Every_pair_has_both_products(int wideRow)
    {
        // None, few, a tile and more than fills the next one's first columns, and one.
        int[] counts = [0, 5, 139, 1];
        int pairs = counts.Sum();
        int[] offsets = [0, .. counts.Select((_, i) => counts.Take(i + 1).Sum())];
        int[] sorted = [.. Enumerable.Range(0, pairs)];
        var random = new Random(wideRow);
        random.Shuffle(sorted);
        using HostLibrary library = HostLibrary.CompileBlock("mxfp4_fp8.cu", Exports, "gather_e4m3.cu", "mxfp4_fp8_load.cu");
        var up = new Matrix(library, PackedMatrix.Random(Experts, 2 * Intermediate, Hidden, isGateUp: true, lowestScale: 117, wideRow), wideRow > 0);
        var down = new Matrix(library, PackedMatrix.Random(Experts, Hidden, Intermediate, isGateUp: false, lowestScale: 125, wideRow), wideRow > 0);
        var gathered = new Rows(Hidden, offsets) { RowScales = new float[pairs] };
        var act = new Rows(Intermediate, offsets);
        Gather(library, random, gathered, sorted, offsets);

        Assert.True(Run(library, up, gathered, act, null, offsets, sorted));
        for (int place = 0; place < pairs; place++)
        {
            CheckActivations(up, gathered, act, Array.FindIndex(offsets, offset => offset > place) - 1, place);
        }

        ushort[] output = new ushort[(pairs + 1) * Hidden];
        Array.Fill(output, Untouched);
        Run(library, down, act, null, output, offsets, sorted);
        Assert.Equal(-1, output.AsSpan(pairs * Hidden).IndexOfAnyExcept(Untouched));
        for (int place = 0; place < pairs; place++)
        {
            int expert = Array.FindIndex(offsets, offset => offset > place) - 1;
            double[] row = act.Row(place);
            for (int column = 0; column < Hidden; column++)
            {
                double expected = down.Packed.Multiply(expert, column, row) + down.Bias[(expert * Hidden) + column];
                double actual = BFloat16.ToSingle(output[(sorted[place] * Hidden) + column]);
                Assert.True(Math.Abs(expected - actual) <= (Math.Abs(expected) / 256) + 1e-3, $"pair {place}, column {column}: {actual}, expected {expected}");
            }
        }
    }

    /// <summary>Tokens of MXFP8 with scales of all kinds; what comes of them differs by what a common scale of a row loses.</summary>
    private static void Gather(HostLibrary library, Random random, Rows target, int[] sorted, int[] offsets)
    {
        const int Stride = 512, TopK = 2;
        int pairs = sorted.Length;
        int tokens = (pairs + TopK - 1) / TopK;
        byte[] codes = new byte[tokens * Stride];
        byte[] scales = new byte[tokens * Stride / 32];
        for (int i = 0; i < codes.Length; i++)
        {
            codes[i] = (byte)((random.Next(2) << 7) | random.Next(0x7F));
        }

        for (int i = 0; i < scales.Length; i++)
        {
            scales[i] = (byte)(random.Next(8) switch { 0 => 0, 1 => 100, _ => 114 + random.Next(6) });
        }

        var gather = (delegate* unmanaged<byte*, byte*, byte*, float*, int*, int*, int, int, int, int, void>)library.Export("gather");
        fixed (byte* c = codes, s = scales, o = target.Codes)
        {
            fixed (float* f = target.RowScales)
            {
                fixed (int* order = sorted, first = offsets)
                {
                    gather(c, s, o, f, order, first, Stride, target.Columns, TopK, Experts);
                }
            }
        }

        for (int place = 0; place < pairs; place++)
        {
            double[] row = target.Row(place);
            int token = sorted[place] / TopK;
            for (int i = 0; i < row.Length; i++)
            {
                byte scale = scales[(token * Stride / 32) + (i / 32)];
                double exact = scale == 0 ? 0 : E4M3.Decode(codes[(token * Stride) + i]) * Math.ScaleB(1, scale - 127);
                double common = target.Scale(place, i);
                Assert.Equal(exact, row[i], Math.Abs(exact) >= Math.ScaleB(common, -6) ? 0 : Math.ScaleB(common, -10));
            }
        }
    }

    private static void CheckActivations(Matrix up, Rows gathered, Rows act, int expert, int place)
    {
        double[] x = gathered.Row(place);
        double[] actual = act.Row(place);
        double[] expected = new double[Intermediate];
        for (int i = 0; i < Intermediate; i++)
        {
            int gate = (expert * 2 * Intermediate) + (2 * i);
            expected[i] = ReferenceSwiGlu.Of(
                up.Packed.Multiply(expert, 2 * i, x) + up.Bias[gate], up.Packed.Multiply(expert, (2 * i) + 1, x) + up.Bias[gate + 1]);
        }

        for (int i = 0; i < Intermediate; i++)
        {
            double largest = expected.AsSpan(i / Chunk * Chunk, Math.Min(Chunk, Intermediate - (i / Chunk * Chunk))).ToArray().Max(Math.Abs);
            double scale = act.Scale(place, i);
            Assert.True(largest / scale is > 111 and < 449, $"pair {place}, neuron {i}: scale {scale} for {largest}");
            double allowed = Math.Max(Math.Abs(expected[i]) / 16, Math.ScaleB(scale, -10)) + (1e-4 * (1 + Math.Abs(expected[i])));
            Assert.True(Math.Abs(expected[i] - actual[i]) <= allowed, $"pair {place}, neuron {i}: {actual[i]}, expected {expected[i]}");
        }
    }

    private static bool Run(HostLibrary library, Matrix matrix, Rows input, Rows? coded, ushort[]? output, int[] offsets, int[] sorted)
    {
        var run = (delegate* unmanaged<int, byte*, float*, byte*, byte*, float*, byte*, float*, byte*, int, int, void*, byte*, int*, int*, int, int, int, int, int>)library.Export("run");
        PackedMatrix packed = matrix.Packed;
        fixed (byte* groups = packed.Groups, largest = matrix.Largest, split = matrix.IsSplit, x = input.Codes, act = coded?.Codes, scales = input.Scales, own = coded?.Scales)
        {
            fixed (float* factors = matrix.Factors, bias = matrix.Bias, rowScales = input.RowScales)
            {
                fixed (int* first = offsets, order = sorted)
                {
                    fixed (ushort* y = output)
                    {
                        bool isSecond = coded is null;
                        return run(
                            isSecond ? 1 : 0, groups, factors, largest, split, bias, x, rowScales, scales, coded?.ScaleStride ?? input.ScaleStride, offsets[^1], isSecond ? y : act, own,
                            first, order, packed.Rows, packed.Depth, Experts, isSecond ? packed.Rows : packed.Rows / 2) == 1;
                    }
                }
            }
        }
    }

    /// <summary>Weights with what their rows' kernel found out.</summary>
    private sealed class Matrix
    {
        public Matrix(HostLibrary library, PackedMatrix packed, bool isWide)
        {
            Packed = packed;
            int rows = packed.Experts * packed.Rows;
            Factors = new float[rows];
            Largest = new byte[rows];
            IsSplit = new byte[packed.Experts * Mxfp4Layout.Bands(packed.Rows)];
            var random = new Random(rows);
            Bias = [.. Enumerable.Range(0, rows).Select(_ => (float)random.NextDouble())];
            int splits = 0;
            var know = (delegate* unmanaged<byte*, float*, float*, byte*, byte*, int*, int, int, int, int, void>)library.Export("know_rows");
            fixed (byte* groups = packed.Groups, largest = Largest, split = IsSplit)
            {
                fixed (float* before = packed.Factors, factors = Factors)
                {
                    know(groups, before, factors, largest, split, &splits, packed.Rows, packed.Depth, packed.IsGateUp ? 1 : 0, packed.Experts);
                }
            }

            packed.DealForE4M3();
            Assert.Equal(isWide, splits > 0);
            Assert.Equal(isWide, IsSplit.Contains((byte)1));
            Assert.True(!isWide || IsSplit.Contains((byte)0));
        }

        public PackedMatrix Packed { get; }

        public float[] Factors { get; }

        public byte[] Largest { get; }

        public byte[] IsSplit { get; }

        public float[] Bias { get; }
    }

    /// <summary>Rows of E4M3 in the order of e4m3_place, and their scales.</summary>
    private sealed class Rows(int columns, int[] offsets)
    {
        public int Columns { get; } = columns;

        public int ScaleStride { get; } = (offsets[^1] + (15 * (Experts + 2))) / 16 * 16;

        public byte[] Codes { get; } = new byte[offsets[^1] * columns];

        /// <summary>One of each row, where a row has one.</summary>
        public float[]? RowScales { get; init; }

        public byte[] Scales { get; } = new byte[(columns + Chunk - 1) / Chunk * ((offsets[^1] + (15 * (Experts + 2))) / 16 * 16)];

        /// <summary>An expert's rows begin at a multiple of 16, which lie in the order of scale_slot.</summary>
        public double Scale(int row, int input)
        {
            if (RowScales is not null)
            {
                return RowScales[row];
            }

            int expert = Array.FindIndex(offsets, offset => offset > row) - 1;
            int inExpert = row - offsets[expert];
            int slot = (inExpert / 16 * 16) + (inExpert % 8 / 2 * 4) + (inExpert % 16 / 8 * 2) + (inExpert % 2);
            byte scale = Scales[(input / Chunk * ScaleStride) + ((offsets[expert] + (15 * (expert + 1))) / 16 * 16) + slot];
            return scale == 0 ? 0 : Math.ScaleB(1, (2 * scale) - 127);
        }

        public double[] Row(int row) =>
        [
            .. Enumerable.Range(0, Columns).Select(input =>
            {
                int place = (input / 16 * 16) + (input % 8 / 2 * 4) + (input / 8 % 2 * 2) + (input % 2);
                byte code = Codes[(row * Columns) + place];
                return E4M3.Decode(code) * Scale(row, input);
            }),
        ];
    }
}
