using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>The projections around latent experts for few tokens, on a model of a thread block, against float64.</summary>
public sealed unsafe class LatentTests
{
    private const int Depth = 104;
    private const int Rows = 72;
    private const int Stride = Depth + 8;

    private const string Exports =
        """
        #include "latent.cu"
        extern "C" void run(const u16* x, const u16* weight, const float* factor, void* out, const float* shared, const float* opened,
                            int out_stride, int tokens, int row_warps, int is_float, int blocks)
        {
            ProjectionParameters p = {x, weight, factor, out, shared, opened, STRIDE, out_stride, tokens, ROWS, DEPTH, row_warps, is_float};
            gridDim = {blocks, 1};
            for (int b = 0; b < blocks; b++)
            {
                run_block(256, [=] {
                    blockIdx = {b, 0};
                    moe_latent<TILES>(p);
                });
            }
        }
        """;

    [Theory]
    [InlineData(1, 3, 1, Rows, false, false)]
    [InlineData(2, 21, 2, Rows, false, true)]
    [InlineData(1, 8, 4, Rows + 3, true, false)]
    [InlineData(2, 16, 1, Rows + 1, true, true)]
    public void Every_token_has_its_product_and_the_shared_experts_sum(
        int columnTiles, int tokens, int rowWarps, int outStride, bool hasShared, bool isFloat)
    {
        var random = new Random(tokens);
        ushort[] x = Values(tokens * Stride, 1);
        ushort[] weight = Values(Rows * Depth, 0.3);
        float[] factor = Floats(Rows);
        float[]? shared = hasShared ? Floats(tokens * Rows) : null;
        float[] opened = Floats(tokens);
        byte[] output = new byte[tokens * outStride * (isFloat ? sizeof(float) : sizeof(ushort))];
        Array.Fill(output, (byte)0xFE);
        int tile = 8 * columnTiles;
        int blocks = (tokens + tile - 1) / tile * ((Rows + (16 * rowWarps) - 1) / (16 * rowWarps));
        string text = Exports.Replace("TILES", $"{columnTiles}", StringComparison.Ordinal)
            .Replace("STRIDE", $"{Stride}", StringComparison.Ordinal).Replace("ROWS", $"{Rows}", StringComparison.Ordinal)
            .Replace("DEPTH", $"{Depth}", StringComparison.Ordinal);
        using (HostLibrary library = HostLibrary.CompileBlock("latent.cu", text))
        {
            var run = (delegate* unmanaged<ushort*, ushort*, float*, void*, float*, float*, int, int, int, int, int, void>)library.Export("run");
            fixed (ushort* input = x, w = weight)
            {
                fixed (float* f = factor, more = shared, open = opened)
                {
                    fixed (byte* to = output)
                    {
                        run(input, w, f, to, more, open, outStride, tokens, rowWarps, isFloat ? 1 : 0, blocks);
                    }
                }
            }
        }

        for (int token = 0; token < tokens; token++)
        {
            for (int row = 0; row < outStride; row++)
            {
                int at = (token * outStride) + row;
                float actual = isFloat ? BitConverter.ToSingle(output, at * sizeof(float)) : BFloat16.ToSingle(BitConverter.ToUInt16(output, at * sizeof(ushort)));
                if (row >= Rows)
                {
                    Assert.Equal(isFloat ? BitConverter.ToSingle([0xFE, 0xFE, 0xFE, 0xFE]) : BFloat16.ToSingle(0xFEFE), actual);
                    continue;
                }

                double expected = shared is null ? 0 : opened[token] * (double)shared[(token * Rows) + row];
                for (int i = 0; i < Depth; i++)
                {
                    expected += (double)factor[row] * BFloat16.ToSingle(weight[(row * Depth) + i]) * BFloat16.ToSingle(x[(token * Stride) + i]);
                }

                Assert.Equal(expected, actual, (isFloat ? 0 : Math.Abs(expected) / 256) + 1e-5);
            }
        }

        float[] Floats(int count) => [.. Enumerable.Range(0, count).Select(_ => 0.5f + (float)random.NextDouble())];

        ushort[] Values(int count, double size) => [.. Enumerable.Range(0, count).Select(_ => BFloat16.FromDouble(size * (random.NextDouble() - 0.5)))];
    }
}
