namespace Moe.Plugins.Sm100;

/// <summary>How the scales of an MXFP8 tensor lie.</summary>
public enum Mxfp8ScaleOrder
{
    /// <summary>[rows, blocks of a row], dense.</summary>
    Linear = 0,

    /// <summary>
    /// Tiles of 128 rows by 4 blocks, 512 bytes each: the order that block-scaled matrix instructions read. Rows and blocks are rounded
    /// up to whole tiles, which zeros fill.
    /// </summary>
    Swizzled128x4 = 1,
}
