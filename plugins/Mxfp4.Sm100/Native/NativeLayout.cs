namespace Moe.Plugins.Sm100;

/// <summary>How the tcgen05 products' weights lie in device and in shared memory: the host's twin of <c>native_layout.cuh</c>.</summary>
internal static class NativeLayout
{
    /// <summary>Rows of a matrix instruction, and of an accumulator.</summary>
    public const int MmaRows = 128;

    /// <summary>Inputs of a pipeline step: 128 bytes of shared memory a row, and one tile of scales for 128 rows.</summary>
    public const int StepDepth = 128;

    /// <summary>Bytes from one row of an operand's tile in shared memory to the next.</summary>
    public const int TileRowBytes = 128;

    /// <summary>Where a weight row of the first product lies: gates and ups parted, in stretches of 128.</summary>
    public static int GateUpPlace(int row)
    {
        int neuron = row / 2;
        return (neuron / MmaRows * 2 * MmaRows) + (row % 2 * MmaRows) + (neuron % MmaRows);
    }

    /// <summary>Which weight row lies at a place.</summary>
    public static int GateUpRow(int place) =>
        (((place / (2 * MmaRows) * MmaRows) + (place % MmaRows)) * 2) + (place / MmaRows % 2);

    /// <summary>The byte of an operand's tile, K-major with 128-byte swizzle.</summary>
    public static int SwizzledByte(int row, int rowByte) => (row * TileRowBytes) + (rowByte ^ (row % 8 * 16));

    /// <summary>Where the scale of a place and block is among an expert's: tiles of 128 rows by 4 blocks, those of a step next to each other.</summary>
    /// <param name="place">The row, in the order of the layout.</param>
    /// <param name="block">The block of 32 inputs.</param>
    /// <param name="paddedDepth">Inputs of the layout.</param>
    /// <param name="halves">Accumulators of a tile: 2 of the first product, 1 of the second.</param>
    public static long ScaleOffset(int place, int block, int paddedDepth, int halves)
    {
        long steps = paddedDepth / StepDepth;
        long stripe = place / (MmaRows * halves);
        long tile = (((stripe * steps) + (block / Mxfp8Layout.TileBlocks)) * halves) + (place / MmaRows % halves);
        return (tile * Mxfp8Layout.TileBytes)
            + Mxfp8Layout.ScaleOffset(place % MmaRows, block % Mxfp8Layout.TileBlocks, StepDepth, Mxfp8ScaleOrder.Swizzled128x4);
    }
}
