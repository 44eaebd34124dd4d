using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>How the copy engine finds BF16 rows: 64 columns, swizzled, of many rows or of few.</summary>
internal readonly struct RowMaps(nint address, int columns, int rows)
{
    private const int WideBox = 64;
    private const int NarrowBox = 8;

    /// <summary>64 rows a box.</summary>
    public CudaTensorMap Wide { get; } = Map(address, columns, rows, WideBox);

    /// <summary>8 rows a box.</summary>
    public CudaTensorMap Narrow { get; } = Map(address, columns, rows, NarrowBox);

    private static CudaTensorMap Map(nint address, int columns, int rows, uint box) => CudaTensorMap.Tiled(
        CudaTensorMapDataType.BFloat16,
        address,
        [(ulong)columns, (ulong)rows],
        [(ulong)columns * sizeof(ushort)],
        [Mxfp4Layout.GroupDepth, box],
        CudaTensorMapSwizzle.Swizzle128B);
}
