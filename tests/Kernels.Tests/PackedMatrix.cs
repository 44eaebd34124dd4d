using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

/// <summary>Random MXFP4 weights of some experts, and what the loading kernels make of them, run on a model of their thread blocks.</summary>
internal sealed unsafe class PackedMatrix
{
    private const int Block = 32;

    private const string Exports =
        """
        #include "mxfp4_load.cu"
        #include "mxfp4_fp8_load.cu"
        extern "C" void deal(u8* groups, int count)
        {
            const Mxfp4DealParameters p = {groups, count};
            gridDim = {1, 1};
            run_block(256, [=] { blockIdx = {0, 0}; moe_mxfp4_fp8_deal(p); });
        }

        extern "C" void pack(const u8* codes, const u8* scales, float* factor, u8* groups, int* any, int rows, int depth, int gate_up)
        {
            const Mxfp4FactorParameters factors = {scales, factor, any, rows, depth};
            for (int b = 0; b < (rows + 7) / 8; b++)
            {
                run_block(256, [=] { blockIdx = {b, 0}; moe_mxfp4_factors(factors); });
            }

            const Mxfp4RepackParameters repack = {codes, scales, factor, groups, rows, depth, gate_up};
            for (int group = 0; group < rows / kGroupRows; group++)
            {
                for (int b = 0; b < (ceil_div(depth, kGroupDepth) + 7) / 8; b++)
                {
                    run_block(256, [=] { blockIdx = {b, group}; moe_mxfp4_repack(repack); });
                }
            }
        }
        """;

    private static readonly double[] E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

    private PackedMatrix(int experts, int rows, int depth, bool isGateUp)
    {
        Experts = experts;
        Rows = rows;
        Depth = depth;
        IsGateUp = isGateUp;
        Codes = new byte[experts * rows * depth / 2];
        Scales = new byte[experts * rows * depth / Block];
        Groups = new byte[experts * Mxfp4Layout.ExpertBytes(rows, depth)];
        Factors = new float[experts * rows];
    }

    public int Experts { get; }

    public int Rows { get; }

    public int Depth { get; }

    public bool IsGateUp { get; }

    /// <summary>[experts, rows, depth / 2], low nibble first.</summary>
    public byte[] Codes { get; }

    /// <summary>[experts, rows, depth / 32].</summary>
    public byte[] Scales { get; }

    public byte[] Groups { get; }

    public float[] Factors { get; }

    /// <param name="experts">Experts.</param>
    /// <param name="rows">Weight rows.</param>
    /// <param name="depth">Inputs.</param>
    /// <param name="isGateUp">Whether gates and ups are interleaved rows.</param>
    /// <param name="lowestScale">The scales are this byte to 7 above it.</param>
    /// <param name="wideRow">Every so many rows have scales that are up to 30 below that as well, and blocks of zeros; 0 for none.</param>
    public static PackedMatrix Random(int experts, int rows, int depth, bool isGateUp, int lowestScale, int wideRow = 0)
    {
        var matrix = new PackedMatrix(experts, rows, depth, isGateUp);
        var random = new Random(rows + depth);
        random.NextBytes(matrix.Codes);
        for (int i = 0; i < matrix.Scales.Length; i++)
        {
            matrix.Scales[i] = (byte)(lowestScale + random.Next(8));
            if (wideRow > 0 && i / (depth / Block) % wideRow == 0)
            {
                matrix.Scales[i] -= (byte)(random.Next(2) * 30);
                if (random.Next(4) == 0)
                {
                    matrix.Codes.AsSpan(i * Block / 2, Block / 2).Fill(0x80);
                }
            }
        }

        using HostLibrary library = HostLibrary.CompileBlock("mxfp4_load.cu", Exports, "mxfp4_fp8_load.cu");
        var pack = (delegate* unmanaged<byte*, byte*, float*, byte*, int*, int, int, int, void>)library.Export("pack");
        fixed (byte* codes = matrix.Codes, scales = matrix.Scales, groups = matrix.Groups)
        {
            fixed (float* factors = matrix.Factors)
            {
                int any = 0;
                for (int expert = 0; expert < experts; expert++)
                {
                    pack(
                        codes + (expert * (long)rows * depth / 2),
                        scales + (expert * (long)rows * depth / Block),
                        factors + (expert * rows),
                        groups + (expert * Mxfp4Layout.ExpertBytes(rows, depth)),
                        &any,
                        rows,
                        depth,
                        isGateUp ? 1 : 0);
                }

                Assert.Equal(lowestScale + 7 > 128, any == 1);
            }
        }

        return matrix;
    }

    /// <summary>Deals its codes for products of E4M3 numbers.</summary>
    public PackedMatrix DealForE4M3()
    {
        using HostLibrary library = HostLibrary.CompileBlock("mxfp4_load.cu", Exports, "mxfp4_fp8_load.cu");
        fixed (byte* groups = Groups)
        {
            ((delegate* unmanaged<byte*, int, void>)library.Export("deal"))(groups, Groups.Length / Mxfp4Layout.GroupBytes);
        }

        return this;
    }

    /// <summary>Row · input, in float64.</summary>
    public double Multiply(int expert, int row, ReadOnlySpan<double> input)
    {
        double sum = 0;
        long at = ((long)expert * Rows) + row;
        for (int i = 0; i < Depth; i++)
        {
            int code = Codes[((at * Depth) + i) / 2] >> (i % 2 * 4) & 15;
            double value = E2M1[code & 7] * (code < 8 ? 1 : -1);
            sum += value * Math.ScaleB(1, Scales[((at * Depth) + i) / Block] - 127) * input[i];
        }

        return sum;
    }
}
