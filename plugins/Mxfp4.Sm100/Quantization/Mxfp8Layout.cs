using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>Where the bytes of an MXFP8 tensor lie: the host's twin of <c>mxfp8.cuh</c>.</summary>
public static class Mxfp8Layout
{
    /// <summary>Rows of a tile of scales.</summary>
    public const int TileRows = 128;

    /// <summary>Blocks of a tile of scales.</summary>
    public const int TileBlocks = 4;

    /// <summary>Bytes of a tile of scales.</summary>
    public const int TileBytes = TileRows * TileBlocks;

    /// <summary>Bytes that the scales of a tensor take.</summary>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Values of a row, a multiple of 32.</param>
    /// <param name="order">How they lie.</param>
    public static long ScaleBytes(int rows, int columns, Mxfp8ScaleOrder order)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        ArgumentCheck.ThrowIfUndefined(order);
        return (long)ScaleRows(rows, order) * ScaleColumns(columns, order);
    }

    /// <summary>Where the scale of a block is among those of its tensor.</summary>
    /// <param name="row">The row.</param>
    /// <param name="block">The block of 32 values within the row.</param>
    /// <param name="columns">Values of a row, a multiple of 32.</param>
    /// <param name="order">How they lie.</param>
    public static long ScaleOffset(int row, int block, int columns, Mxfp8ScaleOrder order)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfNegative(block);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        ArgumentCheck.ThrowIfUndefined(order);
        long blocks = ScaleColumns(columns, order);
        if (order == Mxfp8ScaleOrder.Linear)
        {
            return (row * blocks) + block;
        }

        long tile = (row / TileRows * (blocks / TileBlocks)) + (block / TileBlocks);
        return (tile * TileBytes) + (row % 32 * 16) + (row % TileRows / 32 * TileBlocks) + (block % TileBlocks);
    }

    internal static int ScaleRows(int rows, Mxfp8ScaleOrder order) =>
        order == Mxfp8ScaleOrder.Linear ? rows : RoundUp(rows, TileRows);

    internal static int ScaleColumns(int columns, Mxfp8ScaleOrder order) =>
        order == Mxfp8ScaleOrder.Linear ? columns / Mxfp4Layout.BlockSize : RoundUp(columns / Mxfp4Layout.BlockSize, TileBlocks);

    internal static int RoundUp(int size, int unit) => checked((size + unit - 1) / unit * unit);
}
