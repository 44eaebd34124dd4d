using Moe.Plugins.Cuda;

namespace Moe.Plugins.Sm100;

/// <summary>Rows of E4M3 with a scale each, or one for each 128 of a row.</summary>
internal readonly struct Fp8Rows
{
    private const int WideBox = 64;
    private const int NarrowBox = 8;

    /// <summary><c>kScaleTokens</c> of <c>mxfp4_e4m3.cuh</c>.</summary>
    private const int ScaleRows = 16;

    /// <summary>Describes them.</summary>
    /// <param name="codes">[rows, columns].</param>
    /// <param name="columns">Codes of a row, a multiple of 32.</param>
    /// <param name="rows">Rows, at most.</param>
    /// <param name="scales"><see cref="ScaleBytes"/> bytes.</param>
    /// <param name="experts">Experts that the rows are sorted by.</param>
    public Fp8Rows(nint codes, int columns, int rows, nint scales, int experts)
    {
        Codes = codes;
        Scales = scales;
        ScaleStride = Stride(rows, experts);
        Wide = Map(WideBox);
        Narrow = Map(NarrowBox);

        CudaTensorMap Map(uint box) => CudaTensorMap.Tiled(
            CudaTensorMapDataType.UInt8, codes, [(ulong)columns, (ulong)rows], [(ulong)columns], [Fp8Tile.Chunk, box], CudaTensorMapSwizzle.Swizzle128B);
    }

    /// <summary>[rows, columns].</summary>
    public nint Codes { get; }

    /// <summary>[rows] float32 before the first product; before the second [chunks, <see cref="ScaleStride"/>] bytes, an expert's rows from <c>scale_place</c> on.</summary>
    public nint Scales { get; }

    /// <summary>Scales from one chunk's to the next's.</summary>
    public int ScaleStride { get; }

    /// <summary>64 rows a box.</summary>
    public CudaTensorMap Wide { get; }

    /// <summary>8 rows a box.</summary>
    public CudaTensorMap Narrow { get; }

    /// <summary>Bytes of the scales of so many rows, of either kind.</summary>
    public static long ScaleBytes(int columns, int rows, int experts) =>
        Math.Max((columns + Fp8Tile.Chunk - 1) / Fp8Tile.Chunk * (long)Stride(rows, experts), rows * (long)sizeof(float));

    // Each expert's begin at a multiple of as many as lie together.
    private static int Stride(int rows, int experts) => (rows + ((ScaleRows - 1) * (experts + 2))) / ScaleRows * ScaleRows;
}
