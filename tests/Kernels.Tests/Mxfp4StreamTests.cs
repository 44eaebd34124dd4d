using Moe.Plugins.Cuda;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>Both products of few tokens, on a model of a thread block, against float64.</summary>
public sealed unsafe class Mxfp4StreamTests
{
    private const int Experts = 4;
    private const int TopK = 2;
    private const int Tokens = 5;
    private const int Hidden = 192;
    private const int Intermediate = 704;
    private const ushort Untouched = 0x7FFF;

    private const string Exports =
        """
        using Product = Mxfp4Stream<ARGUMENTS>;
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

        extern "C" void run(char* up, const float* up_factor, const float* up_bias, char* down, const float* down_factor, const float* down_bias, char* x, int tokens,
                            int top_k, u16* act, u16* out, const int* offsets, const int* sorted, int hidden, int intermediate, int experts)
        {
            const int pairs = offsets[experts];
            std::vector<int> counters(2 + experts);
            Mxfp4StreamParameters q = {};
            q.tokens = {x, {64, tokens, hidden / 64}, {hidden * 2, 128}, {64, tokens, Product::kStageSteps}, 3, 2, 1};
            q.act = {(char*)act, {64, pairs, intermediate / 64}, {intermediate * 2, 128}, {64, tokens, Product::kStageSteps}, 3, 2, 1};
            q.first = {up, up_bias, up_factor, act, intermediate, 2 * intermediate, hidden};
            q.second = {down, down_bias, down_factor, out, hidden, hidden, intermediate};
            int ticket = 0;
            q.ticket = &ticket, q.early_offsets = (const u32*)offsets, q.sorted_pairs = sorted, q.counters = {counters.data()};
            q.experts = experts, q.top_k = top_k, q.columns = tokens, q.activation = {1.702f, 7, 1};
            run_blocks(Product::kThreads, [=] { moe_mxfp4_stream<ARGUMENTS>(q); });
            if (ticket != 0)
            {
                std::fill(out, out + pairs, 0);  // seen as wrong results
            }
        }
        """;

    [Theory]
    [InlineData(false, Mxfp4Dealing.BFloat16)]
    [InlineData(true, Mxfp4Dealing.BFloat16)]
    [InlineData(false, Mxfp4Dealing.E4M3)]
    public void Every_pair_has_both_products(bool isTwice, Mxfp4Dealing dealing)
    {
        const string File = "mxfp4_stream.cu";
        KernelUnit unit = Mxfp4Experts.Units(new CudaArchitecture(9, 0), Mxfp4Activations.BFloat16).Single(unit => unit.File == File);
        string arguments = unit.Instances[0][(unit.Instances[0].IndexOf('<', StringComparison.Ordinal) + 1)..^1];
        bool isDealtAnew = dealing == Mxfp4Dealing.E4M3;
        string text = Exports.Replace("ARGUMENTS", isDealtAnew ? $"{arguments}, DealtForE4m3" : arguments, StringComparison.Ordinal);

        // Expert 2 gets nobody, 0 every token; or twice, so that it has more pairs than a tile has columns.
        int[] ids = [.. Enumerable.Range(0, Tokens * TopK).Select(pair => isTwice || pair % TopK == 0 ? 0 : 1 + (pair / TopK % 2 * 2))];
        int[] sorted = [.. Enumerable.Range(0, ids.Length).OrderBy(pair => ids[pair])];
        int[] offsets = [.. Enumerable.Range(0, Experts + 1).Select(expert => ids.Count(id => id < expert))];
        PackedMatrix up = PackedMatrix.Random(Experts, 2 * Intermediate, Hidden, isGateUp: true, lowestScale: 119);
        PackedMatrix down = PackedMatrix.Random(Experts, Hidden, Intermediate, isGateUp: false, lowestScale: 119);
        if (isDealtAnew)
        {
            up.DealForE4M3();
            down.DealForE4M3();
        }

        var random = new Random(1);
        ushort[] x = [.. Enumerable.Range(0, Tokens * Hidden).Select(_ => BFloat16.FromDouble(random.NextDouble() - 0.5))];
        float[] upBias = [.. Enumerable.Range(0, Experts * 2 * Intermediate).Select(_ => (float)random.NextDouble())];
        float[] downBias = [.. Enumerable.Range(0, Experts * Hidden).Select(_ => (float)random.NextDouble())];
        ushort[] act = new ushort[(ids.Length + 1) * Intermediate];
        ushort[] output = new ushort[(ids.Length + 1) * Hidden];
        Array.Fill(act, Untouched);
        Array.Fill(output, Untouched);
        using (HostLibrary library = HostLibrary.CompileBlock(File, $"#include \"formats/mxfp4_e4m3.cuh\"\n#include \"{File}\"\n{text}", "mxfp4_fp8_load.cu"))
        {
            var run = (delegate* unmanaged<byte*, float*, float*, byte*, float*, float*, ushort*, int, int, ushort*, ushort*, int*, int*, int, int, int, void>)library.Export("run");
            fixed (byte* ug = up.Groups, dg = down.Groups)
            {
                fixed (float* ub = upBias, db = downBias)
                {
                    fixed (ushort* input = x, a = act, y = output)
                    {
                        fixed (int* first = offsets, order = sorted)
                        {
                            run(ug, null, ub, dg, null, db, input, Tokens, TopK, a, y, first, order, Hidden, Intermediate, Experts);
                        }
                    }
                }
            }
        }

        Assert.Equal(-1, act.AsSpan(ids.Length * Intermediate).IndexOfAnyExcept(Untouched));
        Assert.Equal(-1, output.AsSpan(ids.Length * Hidden).IndexOfAnyExcept(Untouched));
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
                Assert.Equal(expected, BFloat16.ToSingle(output[(pair * Hidden) + column]), (Math.Abs(expected) / 256) + 1e-3);
            }
        }
    }
}
