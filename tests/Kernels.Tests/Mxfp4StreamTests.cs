using Moe.Plugins.Cuda;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>Both products of few tokens, on a model of a thread block, against float64.</summary>
public sealed unsafe class Mxfp4StreamTests
{
    private const string File = "mxfp4_stream.cu";
    private const int Experts = 4;
    private const int TopK = 2;
    private const int SharedIntermediate = 320;

    // Inputs of a tile that one warpgroup multiplies by itself, and of one that all share.
    private const int Shallow = 192;
    private const int Deep = 1216;
    private const ushort Untouched = 0x7FFF;
    private const float UntouchedSum = -77;

    private const string Exports =
        """
        using Product = StreamBlock<ARGUMENTS>;
        template <typename TBody>
        void run_blocks(int threads, const TBody& body)
        {
            gridDim = {2, 1};
            for (int b = 0; b < gridDim.x; b++)
            {
                run_block(threads, [=] {
                    blockIdx = {b, 0};
                    body();
                });
            }
        }

        struct Shared
        {
            char *up, *down;
            float *up_scales, *down_scales, *up_factor, *down_factor, *gate;
            u16* act;
            float *out, *opened;
            int intermediate;
        };

        void add_shared(Mxfp4StreamParameters&, const Shared&, int*) {}

        template <bool kE4M3>
        void add_shared(Mxfp4SharedStreamParameters<kE4M3>& q, const Shared& s, int* stored)
        {
            const int hidden = q.first.depth, element = kE4M3 ? 1 : 2, width = 128 / element, i = s.intermediate;
            auto tokens = [&](char* rows, int depth) -> TensorMap { return {rows, {64, q.columns, depth / 64}, {depth * 2, 128}, {64, q.columns, Product::kSharedSteps}, 3, 2, 1}; };
            auto scales = [&](float* of, int rows, int depth) -> TensorMap { return {(char*)of, {depth / 16, rows / 16}, {depth / 4}, {16, 4}, 2, 4, 0}; };
            auto bands = [&](char* of, int rows, int depth, bool is_gated) -> TensorMap {
                const int row = depth * element;
                return {of, {depth, 8, 2, rows / 16}, {is_gated ? 2 * row : row, is_gated ? row : 8 * row, 16 * row}, {width, 8, 2, 4}, 4, element, 1};
            };
            const int firsts = Product::kIsGated ? 2 * i : i;
            q.shared_first = {bands(s.up, firsts, hidden, Product::kIsGated), scales(s.up_scales, firsts, hidden), tokens(q.tokens.address, hidden), s.up_factor, s.act, firsts, hidden};
            q.shared_second = {bands(s.down, hidden, i, false), scales(s.down_scales, hidden, i), tokens((char*)s.act, i), s.down_factor, s.out, hidden, i};
            q.shared_stored = stored, q.x = (const u16*)q.tokens.address, q.x_stride = hidden, q.gate = s.gate, q.opened = s.opened, q.shared_activation = {1.702f, 7, 1};
        }

        extern "C" void run(char* up, const float* up_factor, const float* up_bias, char* down, const float* down_factor, const float* down_bias, char* x, int tokens,
                            int top_k, u16* act, u16* out, const int* offsets, const int* sorted, int hidden, int intermediate, int experts, int halved, const Shared* shared)
        {
            const int pairs = offsets[experts];
            std::vector<int> counters(2 + experts);
            PARAMETERS q = {};
            q.tokens = {x, {64, tokens, hidden / 64}, {hidden * 2, 128}, {64, tokens, Product::kStageSteps}, 3, 2, 1};
            q.act = {(char*)act, {64, pairs, intermediate / 64}, {intermediate * 2, 128}, {64, tokens, Product::kStageSteps}, 3, 2, 1};
            q.first = {up, up_bias, up_factor, act, intermediate, (Product::kIsGated ? 2 : 1) * intermediate, hidden};
            q.second = {down, down_bias, down_factor, out, hidden, hidden, intermediate};
            float ticket = 0;
            q.ticket = &ticket, q.early_offsets = (const u32*)offsets, q.sorted_pairs = sorted, q.counters = {counters.data()};
            q.experts = experts, q.token_factor = (65536 + top_k - 1) / top_k, q.columns = tokens, q.activation = {1.702f, 7, 1}, q.halved = halved, q.pairs = pairs;
            int stored = 0;
            add_shared(q, *shared, &stored);
            run_blocks(Product::kThreads, [=] { moe_mxfp4_stream<ARGUMENTS>(q); });
            if (ticket != 0)
            {
                std::fill(out, out + pairs, 0);  // seen as wrong results
            }
        }
        """;

    [Theory]
    [InlineData(false, "Activation", null, Mxfp4Dealing.BFloat16, Shallow, 704, 5, 0)]
    [InlineData(true, "Activation", null, Mxfp4Dealing.BFloat16, Shallow, Deep, 5, 0)]
    [InlineData(false, "ReluSquared", null, Mxfp4Dealing.BFloat16, Shallow, Deep, 5, 0)]
    [InlineData(true, "Activation", null, Mxfp4Dealing.BFloat16, Deep, Shallow, 5, 0)]
    [InlineData(false, "Activation", null, Mxfp4Dealing.E4M3, Deep, Deep, 5, 0)]
    [InlineData(true, "Activation", MoeWeightFormat.BFloat16, Mxfp4Dealing.BFloat16, Deep, Shallow, 5, 0)]
    [InlineData(false, "Activation", MoeWeightFormat.Fp8Block, Mxfp4Dealing.BFloat16, Shallow, 704, 5, 0)]
    [InlineData(true, "ReluSquared", MoeWeightFormat.BFloat16, Mxfp4Dealing.BFloat16, Shallow, Deep, 5, 0)]
    [InlineData(false, "Activation", null, Mxfp4Dealing.BFloat16, Shallow, Deep, 1, 1)]
    [InlineData(false, "ReluSquared", null, Mxfp4Dealing.BFloat16, Deep, Deep, 1, 2)]
    [InlineData(true, "Activation", null, Mxfp4Dealing.BFloat16, Shallow, Deep, 1, 9)]
    public void Every_pair_has_both_products_and_every_token_those_of_shared_experts(
        bool isTwice, string activation, MoeWeightFormat? shared, Mxfp4Dealing dealing, int hidden, int intermediate, int tokens, int halved)
    {
        string parameters = shared is null ? "Mxfp4StreamParameters" : $"Mxfp4SharedStreamParameters<{(shared == MoeWeightFormat.Fp8Block ? "true" : "false")}>";
        string arguments = Arguments(parameters, activation);
        bool isDealtAnew = dealing == Mxfp4Dealing.E4M3;
        string text = Exports.Replace("ARGUMENTS", isDealtAnew ? $"{arguments}, DealtForE4m3" : arguments, StringComparison.Ordinal)
            .Replace("PARAMETERS", parameters, StringComparison.Ordinal);
        bool isGated = activation == "Activation";
        int neuronRows = isGated ? 2 : 1;

        // Expert 2 gets nobody, 0 every token; or twice, so that it has more pairs than a tile has columns.
        int[] ids = [.. Enumerable.Range(0, tokens * TopK).Select(pair => isTwice || pair % TopK == 0 ? 0 : 1 + (pair / TopK % 2 * 2))];
        int[] sorted = [.. Enumerable.Range(0, ids.Length).OrderBy(pair => ids[pair])];
        int[] offsets = [.. Enumerable.Range(0, Experts + 1).Select(expert => ids.Count(id => id < expert))];
        PackedMatrix up = PackedMatrix.Random(Experts, neuronRows * intermediate, hidden, isGated, lowestScale: 119);
        PackedMatrix down = PackedMatrix.Random(Experts, hidden, intermediate, isGateUp: false, lowestScale: 119);
        if (isDealtAnew)
        {
            up.DealForE4M3();
            down.DealForE4M3();
        }

        var random = new Random(1);
        ushort[] x = [.. Enumerable.Range(0, tokens * hidden).Select(_ => BFloat16.FromDouble(random.NextDouble() - 0.5))];
        float[] upBias = [.. Enumerable.Range(0, Experts * neuronRows * intermediate).Select(_ => (float)random.NextDouble())];
        float[] downBias = [.. Enumerable.Range(0, Experts * hidden).Select(_ => (float)random.NextDouble())];
        ushort[] act = new ushort[(ids.Length + 1) * intermediate];
        int parts = halved > 0 ? 2 : 1;
        ushort[] output = new ushort[((parts * ids.Length) + 1) * hidden];
        bool hasShared = shared is not null;
        SharedMatrix sharedUp = Shared(neuronRows * SharedIntermediate, hidden);
        SharedMatrix sharedDown = Shared(hidden, SharedIntermediate);
        float[] sharedGate = [.. Enumerable.Range(0, hidden).Select(_ => (float)random.NextDouble() - 0.5f)];
        float[] opened = [.. Enumerable.Repeat(-1f, tokens)];
        float[] sharedUpFactor = [.. Enumerable.Range(0, neuronRows * SharedIntermediate).Select(_ => 0.5f + (float)random.NextDouble())];
        float[] sharedDownFactor = [.. Enumerable.Range(0, hidden).Select(_ => 0.5f + (float)random.NextDouble())];
        ushort[] sharedAct = new ushort[(tokens + 1) * SharedIntermediate];
        float[] sharedOutput = [.. Enumerable.Repeat(UntouchedSum, (tokens + 1) * hidden)];
        Array.Fill(act, Untouched);
        Array.Fill(sharedAct, Untouched);
        Array.Fill(output, Untouched);
        using (HostLibrary library = HostLibrary.CompileBlock(File, $"#include \"formats/mxfp4_e4m3.cuh\"\n#include \"{File}\"\n{text}", "mxfp4_fp8_load.cu"))
        {
            var run = (delegate* unmanaged<byte*, float*, float*, byte*, float*, float*, ushort*, int, int, ushort*, ushort*, int*, int*, int, int, int, int, SharedArguments*, void>)library.Export("run");
            fixed (byte* ug = up.Groups, dg = down.Groups, su = sharedUp.Stored, sd = sharedDown.Stored)
            {
                fixed (float* ub = upBias, db = downBias, sus = sharedUp.Scales, sds = sharedDown.Scales, suf = sharedUpFactor, sdf = sharedDownFactor, g = sharedGate, o = opened, so = sharedOutput)
                {
                    fixed (ushort* input = x, a = act, y = output, sa = sharedAct)
                    {
                        fixed (int* first = offsets, order = sorted)
                        {
                            var own = new SharedArguments(su, sd, sus, sds, suf, sdf, g, sa, so, o, SharedIntermediate);
                            run(ug, null, ub, dg, null, db, input, tokens, TopK, a, y, first, order, hidden, intermediate, Experts, halved, &own);
                        }
                    }
                }
            }
        }

        Assert.Equal(-1, act.AsSpan(ids.Length * intermediate).IndexOfAnyExcept(Untouched));
        Assert.Equal(-1, output.AsSpan(parts * ids.Length * hidden).IndexOfAnyExcept(Untouched));
        Assert.Equal(-1, sharedAct.AsSpan(hasShared ? tokens * SharedIntermediate : 0).IndexOfAnyExcept(Untouched));
        Assert.Equal(-1, sharedOutput.AsSpan(hasShared ? tokens * hidden : 0).IndexOfAnyExcept(UntouchedSum));
        for (int token = 0; hasShared && token < tokens; token++)
        {
            double[] row = Row(x, token, hidden);
            double[] own = Row(sharedAct, token, SharedIntermediate);
            Assert.Equal(1 / (1 + Math.Exp(-row.Zip(sharedGate, (value, weight) => value * weight).Sum())), opened[token], 1e-5);
            for (int i = 0; i < SharedIntermediate; i++)
            {
                double expected = Activate(i, neuron => sharedUp.Dot(neuron, row) * sharedUpFactor[neuron]);
                Assert.Equal(expected, own[i], (Math.Abs(expected) / 256) + 1e-3);
            }

            for (int column = 0; column < hidden; column++)
            {
                double expected = sharedDown.Dot(column, own) * sharedDownFactor[column];
                Assert.Equal(expected, sharedOutput[(token * hidden) + column], 1e-3);
            }
        }

        double Activate(int i, Func<int, double> sum) => isGated ? ReferenceSwiGlu.Of(sum(2 * i), sum((2 * i) + 1)) : Math.Pow(Math.Max(0, sum(i)), 2);

        SharedMatrix Shared(int rows, int inputs) =>
            shared == MoeWeightFormat.Fp8Block ? SharedMatrix.Codes(rows, inputs, random) : SharedMatrix.Numbers(rows, inputs, 1, random);

        for (int place = 0; place < ids.Length; place++)
        {
            int pair = sorted[place];
            double[] row = Row(x, pair / TopK, hidden);
            double[] own = Row(act, place, intermediate);
            int expert = ids[pair];
            for (int i = 0; i < intermediate; i++)
            {
                double expected = Activate(i, neuron => up.Multiply(expert, neuron, row) + upBias[(expert * neuronRows * intermediate) + neuron]);
                Assert.Equal(expected, own[i], (Math.Abs(expected) / 256) + 1e-3);
            }

            for (int column = 0; column < hidden; column++)
            {
                double expected = down.Multiply(expert, column, own) + downBias[(expert * hidden) + column];
                double[] results = [.. Enumerable.Range(0, parts).Select(part => (double)BFloat16.ToSingle(output[(((part * ids.Length) + pair) * hidden) + column]))];
                Assert.Equal(expected, results.Sum(), (results.Sum(Math.Abs) / 256) + 1e-3);
                Assert.True(parts == 1 || (results[1] != 0) == (place >= ids.Length - halved));
            }
        }
    }

    [Fact]
    public void The_same_weights_give_the_same_bits_whatever_a_block_multiplied_before()
    {
        // Five stages of inputs: a warpgroup that stores the tile before does so after four. Two large inputs cancel where their weights are equal, so that what
        // is added while only one of them has been counts less.
        const string Type = "Mxfp4StreamParameters";
        const int Depth = 2560;
        const int Neurons = 128;
        const int Rows = 4;
        const int Large = 128;
        string text = Exports.Replace("ARGUMENTS", Arguments(Type, "ReluSquared"), StringComparison.Ordinal).Replace("PARAMETERS", Type, StringComparison.Ordinal);
        PackedMatrix up = PackedMatrix.Random(2, Neurons, Depth, isGateUp: false, lowestScale: 119);
        PackedMatrix down = PackedMatrix.Random(2, Depth, Neurons, isGateUp: false, lowestScale: 119);
        up.Groups.AsSpan(0, up.Groups.Length / 2).CopyTo(up.Groups.AsSpan(up.Groups.Length / 2));
        var random = new Random(1);
        ushort[] x = [.. Enumerable.Range(0, Rows * Depth).Select(i => BFloat16.FromDouble((i % Depth) switch
        {
            Large => 65536,
            Large + 16 => -65536,
            _ => random.NextDouble() - 0.5,
        }))];
        int[] sorted = [.. Enumerable.Range(0, 2 * Rows).Select(place => place % Rows * 2 + place / Rows)];
        int[] offsets = [0, Rows, 2 * Rows];
        ushort[] act = new ushort[2 * Rows * Neurons];
        ushort[] output = new ushort[2 * Rows * Depth];
        using (HostLibrary library = HostLibrary.CompileBlock(File, $"#include \"formats/mxfp4_e4m3.cuh\"\n#include \"{File}\"\n{text}", "mxfp4_fp8_load.cu"))
        {
            var run = (delegate* unmanaged<byte*, float*, float*, byte*, float*, float*, ushort*, int, int, ushort*, ushort*, int*, int*, int, int, int, int, SharedArguments*, void>)library.Export("run");
            SharedArguments none = default;
            fixed (byte* ug = up.Groups, dg = down.Groups)
            {
                fixed (ushort* input = x, a = act, y = output)
                {
                    fixed (int* first = offsets, order = sorted)
                    {
                        run(ug, null, null, dg, null, null, input, Rows, 2, a, y, first, order, Depth, Neurons, 2, 0, &none);
                    }
                }
            }
        }

        Assert.Equal(act[..(Rows * Neurons)], act[(Rows * Neurons)..]);
    }

    [Theory]
    [InlineData(1, 8)]
    [InlineData(31, 3)]
    [InlineData(32, 8)]
    [InlineData(255, 8)]
    [InlineData(256, 1)]
    [InlineData(257, 8)]
    [InlineData(896, 5)]
    public void The_table_has_every_expert_that_has_pairs(int experts, int columns)
    {
        const string Text =
            """
            #include "mxfp4_stream.cu"
            extern "C" void run(int* active, const u32* offsets, int experts, int columns)
            {
                run_block(32, [=] { StreamList<Mxfp4StreamParameters>::prepare((int2*)active, offsets, experts, columns); });
            }
            """;
        var random = new Random(experts);
        int[] counts = [.. Enumerable.Range(0, experts).Select(expert => expert == experts - 1 ? columns + 3 : random.Next(6) == 0 ? random.Next(1, columns + 1) : 0)];
        int[] offsets = [.. Enumerable.Range(0, experts + 1).Select(expert => counts.Take(expert).Sum())];
        int[] active = new int[2 * 513];
        using (HostLibrary library = HostLibrary.CompileBlock(File, Text))
        {
            var run = (delegate* unmanaged<int*, int*, int, int, void>)library.Export("run");
            fixed (int* table = active, first = offsets)
            {
                run(table, first, experts, columns);
            }
        }

        var expected = new List<int>();
        for (int expert = 0; expert < experts; expert++)
        {
            int boxes = (counts[expert] + columns - 1) / columns;
            for (int first = 0; first < counts[expert]; first += columns)
            {
                expected.AddRange([expert + (boxes << 16), ((offsets[expert] + first) * 16) + Math.Min(counts[expert] - first, columns)]);
            }
        }

        Assert.Equal(expected.Count / 2, active[2 * 512]);
        Assert.Equal(expected, active[..expected.Count]);
    }

    /// <summary>The arguments of the kernel's template in its instance of those.</summary>
    private static string Arguments(string parameters, string activation)
    {
        string instance = Mxfp4Experts.Units(new CudaArchitecture(9, 0), Mxfp4Activations.BFloat16).Where(unit => unit.File == File).SelectMany(unit => unit.Instances)
            .Single(instance => instance.EndsWith($"{parameters}, {activation}>", StringComparison.Ordinal));
        return instance[(instance.IndexOf('<', StringComparison.Ordinal) + 1)..^1];
    }

    private static double[] Row(ushort[] values, int row, int columns) =>
        [.. values.AsSpan(row * columns, columns).ToArray().Select(bits => (double)BFloat16.ToSingle(bits))];

    /// <summary><c>Shared</c> of the text above.</summary>
    private record struct SharedArguments(
        nint Up, nint Down, nint UpScales, nint DownScales, nint UpFactor, nint DownFactor, nint Gate, nint Act, nint Output, nint Opened, int Intermediate)
    {
        public SharedArguments(
            byte* up, byte* down, float* upScales, float* downScales, float* upFactor, float* downFactor, float* gate, ushort* act, float* output, float* opened, int intermediate)
            : this((nint)up, (nint)down, (nint)upScales, (nint)downScales, (nint)upFactor, (nint)downFactor, (nint)gate, (nint)act, (nint)output, (nint)opened, intermediate)
        {
        }
    }
}
