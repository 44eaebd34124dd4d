using CsCheck;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>
/// One tile of a product as <c>native.cu</c> does it, on the model of the hardware: weights in the loader's layout, tokens quantised by the
/// reference, descriptors and scale ids as the kernel makes them. The accumulators must be the plain products.
/// </summary>
public sealed class TensorModelTests
{
    private const int Tokens = 16;

    // Where a stage's parts are; the kernel's stages begin at multiples of 1024 too.
    private const int WeightBase = 1024;
    private const int TokenBase = WeightBase + (2 * 128 * 128);
    private const int ScaleBase = TokenBase + (112 * 128);

    [Theory]
    [InlineData(160, 288, 2, 0)]
    [InlineData(160, 288, 2, 1)]
    [InlineData(96, 64, 1, 0)]
    [InlineData(200, 160, 1, 1)]
    public void A_tile_is_the_plain_product(int outputs, int depth, int halves, int stripe) =>
        Gen.Int[0, 1 << 20].Sample(
            seed =>
            {
                var random = new Random(seed);
                int rows = outputs * halves;
                int padded = Mxfp8Layout.RoundUp(depth, 256);
                var weights = new Mxfp4Rows(random, rows, depth);
                double[][] x = [.. Enumerable.Range(0, Tokens).Select(_ => Mxfp8.Round([.. Enumerable.Range(0, depth).Select(_ => random.NextDouble() - 0.5)]))];
                for (int half = 0; half < halves; half++)
                {
                    double[,] sums = Run(weights, x, padded, halves, stripe, half);
                    for (int lane = 0; lane < 128; lane++)
                    {
                        // What the kernel's epilogue takes a lane for: a neuron's gate or up, or a row.
                        int neuron = (stripe * 128) + lane;
                        int row = halves == 2 ? (2 * neuron) + half : neuron;
                        for (int token = 0; token < Tokens; token++)
                        {
                            double expected = row < rows ? weights.Dot(row, x[token]) : 0;
                            Assert.Equal(expected, sums[lane, token], 1e-9);
                        }
                    }
                }
            },
            iter: 3);

    private static double[,] Run(Mxfp4Rows weights, double[][] x, int padded, int halves, int stripe, int half)
    {
        (byte[] codes, byte[] scales) = weights.ToNative(padded, halves);
        var model = new TensorModel();
        int steps = (weights.Depth + NativeLayout.StepDepth - 1) / NativeLayout.StepDepth;
        for (int step = 0; step < steps; step++)
        {
            for (int row = 0; row < 128 * halves; row++)
            {
                int place = (stripe * 128 * halves) + row;
                model.LoadUnpackedRow(WeightBase, row, codes.AsSpan((place * padded / 2) + (step * 64), 64));
            }

            int tileBytes = halves * Mxfp8Layout.TileBytes;
            int tile = (stripe * (padded / NativeLayout.StepDepth)) + step;
            model.LoadBytes(ScaleBase, scales.AsSpan(tile * tileBytes, tileBytes));
            LoadTokens(model, x, step, ScaleBase + tileBytes);
            for (int part = 0; part <= halves; part++)
            {
                model.CopyScales(4 * part, TcgenDescriptor.Scales((uint)(ScaleBase + (part * Mxfp8Layout.TileBytes))));
            }

            for (int k = 0; k < 4; k++)
            {
                model.Multiply(
                    TcgenDescriptor.Operand((uint)(WeightBase + (half * 128 * 128))) + (2ul * (ulong)k),
                    TcgenDescriptor.Operand(TokenBase) + (2ul * (ulong)k),
                    TcgenDescriptor.Instruction(Tokens, k),
                    aScales: 4 * half,
                    bScales: 4 * halves);
            }
        }

        return model.Accumulator;
    }

    private static void LoadTokens(TensorModel model, double[][] x, int step, int scaleAddress)
    {
        byte[] tile = new byte[Mxfp8Layout.TileBytes];
        for (int token = 0; token < x.Length; token++)
        {
            byte[] codes = new byte[NativeLayout.StepDepth];
            for (int block = 0; block < 4; block++)
            {
                int first = (step * NativeLayout.StepDepth) + (block * 32);
                if (first >= x[token].Length)
                {
                    continue;
                }

                ReadOnlySpan<double> values = x[token].AsSpan(first, 32);
                byte scale = Mxfp8.Scale(values);
                tile[Mxfp8Layout.ScaleOffset(token, block, NativeLayout.StepDepth, Mxfp8ScaleOrder.Swizzled128x4)] = scale;
                for (int i = 0; i < 32; i++)
                {
                    codes[(block * 32) + i] = Mxfp8.Code(values[i], scale);
                }
            }

            model.LoadRow(TokenBase, token, codes);
        }

        model.LoadBytes(scaleAddress, tile);
    }
}
