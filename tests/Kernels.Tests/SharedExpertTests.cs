using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>Shared experts in one launch, with BF16 weights and FP8's, on a model of a thread block, against float64.</summary>
public sealed unsafe class SharedExpertTests
{
    private const int Hidden = 72;
    private const int Intermediate = 88;
    private const int Stride = Hidden + 8;
    private const float Untouched = -77;

    private const string Exports =
        """
        #include "shared_expert.cu"
        extern "C" void run(const u16* x, const void* up, const void* down, const float4* up_scales, const float4* down_scales, const float* up_factor, const float* down_factor, const float* gate, u16* act, float* out,
                            float* opened, int* counters, int tokens, int row_warps)
        {
            SharedExpertParameters p = {x, up, down, up_scales, down_scales, up_factor, down_factor, gate, act, out, opened, counters, STRIDE, tokens, HIDDEN, INTERMEDIATE, row_warps, 0, {1.702f, 7, 1}};
            gridDim = {2, 1};
            for (int b = 0; b < gridDim.x; b++)
            {
                run_block(256, [=] {
                    blockIdx = {b, 0};
                    moe_shared_expert<TILES, TYPE, E4M3>(p);
                });
            }
        }
        """;

    [Theory]
    [InlineData(1, 3, 1, "Activation", true, true, false)]
    [InlineData(1, 8, 4, "Activation", false, false, false)]
    [InlineData(2, 21, 2, "Activation", true, false, false)]
    [InlineData(2, 40, 1, "ReluSquared", true, true, false)]
    [InlineData(1, 7, 2, "Activation", true, false, true)]
    [InlineData(1, 19, 4, "ReluSquared", false, true, true)]
    public void Every_token_has_both_products_and_the_gate(int columnTiles, int tokens, int rowWarps, string activation, bool hasGate, bool hasFactors, bool isE4M3)
    {
        bool isGated = activation == "Activation";
        int rows = isGated ? 2 * Intermediate : Intermediate;
        var random = new Random(tokens);
        ushort[] x = Values(tokens * Stride, 1);
        SharedMatrix up = Make(rows, Hidden);
        SharedMatrix down = Make(Hidden, Intermediate);
        float[] gate = [.. Enumerable.Range(0, Hidden).Select(_ => (float)random.NextDouble() - 0.5f)];
        float[] upFactor = Factors(rows);
        float[] downFactor = Factors(Hidden);
        ushort[] act = new ushort[tokens * Intermediate];
        float[] output = [.. Enumerable.Repeat(Untouched, (tokens * Hidden) + 1)];
        float[] opened = [.. Enumerable.Repeat(Untouched, tokens + 1)];
        int[] counters = new int[2 + 8];
        string text = Exports.Replace("STRIDE", $"{Stride}", StringComparison.Ordinal).Replace("HIDDEN", $"{Hidden}", StringComparison.Ordinal)
            .Replace("INTERMEDIATE", $"{Intermediate}", StringComparison.Ordinal).Replace("TILES", $"{columnTiles}", StringComparison.Ordinal)
            .Replace("TYPE", activation, StringComparison.Ordinal).Replace("E4M3", isE4M3 ? "true" : "false", StringComparison.Ordinal);
        using (HostLibrary library = HostLibrary.CompileBlock("shared_expert.cu", text))
        {
            var run = (delegate* unmanaged<ushort*, byte*, byte*, float*, float*, float*, float*, float*, ushort*, float*, float*, int*, int, int, void>)library.Export("run");
            fixed (ushort* input = x, a = act)
            {
                fixed (byte* u = up.Stored, d = down.Stored)
                fixed (float* us = up.Scales, ds = down.Scales, uf = upFactor, df = downFactor, g = gate, y = output, o = opened)
                {
                    fixed (int* c = counters)
                    {
                        run(input, u, d, us, ds, hasFactors ? uf : null, hasFactors ? df : null, hasGate ? g : null, a, y, o, c, tokens, rowWarps);
                    }
                }
            }
        }

        Assert.All(counters, word => Assert.Equal(0, word));
        Assert.Equal(Untouched, output[^1]);
        Assert.Equal(Untouched, opened[^1]);
        for (int token = 0; token < tokens; token++)
        {
            double[] row = Row(x, token, Stride, Hidden);
            double[] own = Row(act, token, Intermediate, Intermediate);
            for (int i = 0; i < Intermediate; i++)
            {
                double expected = isGated
                    ? ReferenceSwiGlu.Of(Up(2 * i), Up((2 * i) + 1))
                    : Math.Pow(Math.Max(0, Up(i)), 2);
                Assert.Equal(expected, own[i], (Math.Abs(expected) / 256) + 1e-4);
            }

            for (int column = 0; column < Hidden; column++)
            {
                Assert.Equal(down.Dot(column, own) * downFactor[column], output[(token * Hidden) + column], 1e-4);
            }

            double Up(int neuronRow) => up.Dot(neuronRow, row) * upFactor[neuronRow];

            Assert.Equal(hasGate ? 1 / (1 + Math.Exp(-row.Zip(gate, (v, g) => v * g).Sum())) : Untouched, opened[token], 1e-5);
        }

        float[] Factors(int count) => [.. Enumerable.Range(0, count).Select(_ => hasFactors ? 0.5f + (float)random.NextDouble() : 1)];

        SharedMatrix Make(int count, int inputs) => isE4M3 ? SharedMatrix.Codes(count, inputs, random) : SharedMatrix.Numbers(count, inputs, 0.3, random);

        ushort[] Values(int count, double size) => [.. Enumerable.Range(0, count).Select(_ => BFloat16.FromDouble(size * (random.NextDouble() - 0.5)))];
    }

    private static double[] Row(ushort[] values, int row, int stride, int columns) =>
        [.. values.AsSpan(row * stride, columns).ToArray().Select(bits => (double)BFloat16.ToSingle(bits))];
}
