using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>The weighted sum's own code, on a model of a thread block, against float64.</summary>
public sealed unsafe class CombineTests
{
    private const int Tokens = 7;
    private const int Hidden = 136;
    private const int Experts = 6;

    /// <summary>The first of the device's experts.</summary>
    private const int First = 3;

    private const string Exports =
        """
        #include "combine.cu"
        extern "C" void run(const void* partial, const int* ids, const float* weights, const float* bias, void* out, int tokens, int hidden, int top_k,
                            int splits, int experts, int is_bf16, int is_float, int out_stride, const float* shared)
        {
            const i64 split = (i64)tokens * top_k * hidden;
            const CombineParameters p = {partial, ids, weights, bias, out, hidden, split, out_stride, tokens, hidden, top_k, splits, experts, FIRST, is_bf16, is_float};
            const SharedCombineParameters q = {p, shared, weights, (i64)tokens * hidden, 2, 0};
            for (int b = 0; b < ceil_div(tokens * hidden / 8, 128); b++)
            {
                run_block(128, [=] {
                    blockIdx = {b, 0};
                    shared != nullptr ? (top_k > 4 ? moe_combine_shared_many : moe_combine_shared)(q) : (top_k > 4 ? moe_combine_many : moe_combine)(p);
                });
            }
        }
        """;

    /// <summary>
    /// Partial results in BF16 and float32, in parts, with the bias and without, more choices than are summed at once, rows of the output that
    /// begin on any element; and shared experts' results in two parts, times a weight of each token.
    /// </summary>
    [Theory]
    [InlineData(1, true, false, 4, false, Hidden, false)]
    [InlineData(2, true, false, 4, false, Hidden + 8, true)]
    [InlineData(1, true, true, 6, true, Hidden + 3, false)]
    [InlineData(2, true, false, 22, false, Hidden, true)]
    [InlineData(5, false, true, 4, false, Hidden + 1, false)]
    [InlineData(1, false, true, 1, true, Hidden, true)]
    public void Each_token_gets_its_experts_rows(int splits, bool isBf16, bool hasBias, int topK, bool isFloat, int stride, bool hasShared)
    {
        int pairs = Tokens * topK;
        var random = new Random(stride + topK);
        float[] values = [.. Enumerable.Range(0, splits * pairs * Hidden).Select(_ => BFloat16.ToSingle(BFloat16.FromDouble((float)(random.NextDouble() - 0.5))))];
        float[] weights = [.. Enumerable.Range(0, pairs).Select(_ => (float)random.NextDouble())];
        float[] bias = [.. Enumerable.Range(0, Experts * Hidden).Select(_ => (float)random.NextDouble())];

        // What an id that is no expert's has, nobody may add.
        int[] ids = [.. Enumerable.Range(0, pairs).Select(i => i % 9 == 4 ? (i % 2 == 0 ? -1 : Experts) : random.Next(Experts))];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = ids[i / Hidden % pairs] is >= 0 and < Experts ? values[i] : float.NaN;
        }

        int[] global = [.. ids.Select(id => id + First)];
        float[]? shared = hasShared ? [.. Enumerable.Range(0, 2 * Tokens * Hidden).Select(_ => (float)random.NextDouble())] : null;
        ushort[] rounded = [.. values.Select(value => BFloat16.FromDouble(value))];
        byte[] output = new byte[((Tokens * stride) + Hidden) * (isFloat ? sizeof(float) : sizeof(ushort))];
        Array.Fill(output, (byte)0xFE);
        using (HostLibrary library = HostLibrary.CompileBlock("combine.cu", Exports.Replace("FIRST", $"{First}", StringComparison.Ordinal)))
        {
            var run = (delegate* unmanaged<void*, int*, float*, float*, void*, int, int, int, int, int, int, int, int, float*, void>)library.Export("run");
            fixed (float* v = values, w = weights, b = bias, more = shared)
            {
                fixed (ushort* r = rounded)
                {
                    fixed (int* id = global)
                    {
                        fixed (byte* o = output)
                        {
                            run(
                                isBf16 ? r : v, id, w, hasBias ? b : null, o, Tokens, Hidden, topK, splits, Experts, isBf16 ? 1 : 0, isFloat ? 1 : 0, stride,
                                more);
                        }
                    }
                }
            }
        }

        for (int token = 0; token < Tokens; token++)
        {
            for (int column = 0; column < stride; column++)
            {
                int at = (token * stride) + column;
                if (column >= Hidden)
                {
                    int size = isFloat ? sizeof(float) : sizeof(ushort);
                    Assert.All(output[(at * size)..((at + 1) * size)], value => Assert.Equal(0xFE, value));
                    continue;
                }

                int own = (token * Hidden) + column;
                double expected = shared is null ? 0 : weights[token] * ((double)shared[own] + shared[(Tokens * Hidden) + own]);
                for (int k = 0; k < topK; k++)
                {
                    int pair = (token * topK) + k;
                    if (ids[pair] is >= 0 and < Experts)
                    {
                        double row = hasBias ? bias[(ids[pair] * Hidden) + column] : 0;
                        for (int s = 0; s < splits; s++)
                        {
                            row += values[(((s * pairs) + pair) * Hidden) + column];
                        }

                        expected += weights[pair] * row;
                    }
                }

                double actual = isFloat ? BitConverter.ToSingle(output, at * sizeof(float)) : BFloat16.ToSingle(BitConverter.ToUInt16(output, at * sizeof(ushort)));
                Assert.Equal(expected, actual, isFloat ? 1e-5 : (Math.Abs(expected) / 256) + 1e-5);
            }
        }
    }
}
