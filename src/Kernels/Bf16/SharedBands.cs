using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>How TMA finds what <see cref="Mxfp4StreamKernels"/> multiply of shared experts: bands of 64 rows by 128 bytes, swizzled.</summary>
internal static class SharedBands
{
    private const int BoxBytes = 128;
    private const int GroupRows = Mxfp4Layout.GroupRows;
    private const int HalfRows = GroupRows / 2;

    /// <summary>
    /// [rows, inputs] seen as [rows / 16, 2, 8, inputs]: the copy parts the gates of 8 neurons from their ups, or leaves rows as they are. A row is a multiple
    /// of 16 bytes, and there is a multiple of 16 of them.
    /// </summary>
    /// <param name="type">BF16, or bytes of FP8.</param>
    /// <param name="address">The matrix.</param>
    /// <param name="rows">Its rows.</param>
    /// <param name="inputs">Its inputs.</param>
    /// <param name="isGateUp">Whether gates and ups take turns.</param>
    public static CudaTensorMap Of(CudaTensorMapDataType type, nint address, int rows, int inputs, bool isGateUp)
    {
        int elementBytes = type == CudaTensorMapDataType.BFloat16 ? sizeof(ushort) : sizeof(byte);
        ulong row = (ulong)inputs * (ulong)elementBytes;
        return CudaTensorMap.Tiled(
            type,
            address,
            [(ulong)inputs, HalfRows, 2, (ulong)rows / GroupRows],
            isGateUp ? [2 * row, row, GroupRows * row] : [row, HalfRows * row, GroupRows * row],
            [(uint)(BoxBytes / elementBytes), HalfRows, 2, Mxfp4Layout.BandGroups],
            CudaTensorMapSwizzle.Swizzle128B,
            CudaTensorMapL2Promotion.Bytes256);
    }

    /// <summary>[rows / 16, inputs / 64, 4] float32 scales of <see cref="E4M3Matrix"/>: those of a band and 256 inputs.</summary>
    /// <param name="address">The scales.</param>
    /// <param name="groups">Groups of 16 rows.</param>
    /// <param name="slices">Slices of 64 inputs.</param>
    public static CudaTensorMap OfScales(nint address, int groups, int slices)
    {
        const int SliceScales = 4;
        const int BoxSlices = 4;
        return CudaTensorMap.Tiled(
            CudaTensorMapDataType.Float32,
            address,
            [(ulong)(slices * SliceScales), (ulong)groups],
            [(ulong)(slices * SliceScales) * sizeof(float)],
            [BoxSlices * SliceScales, Mxfp4Layout.BandGroups]);
    }
}
