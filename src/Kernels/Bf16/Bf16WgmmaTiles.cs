using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>How TMA finds what <c>bf16_prefill.cu</c> multiplies: 64 inputs are the 128 bytes of a swizzled row.</summary>
internal static class Bf16WgmmaTiles
{
    /// <summary>Weight rows of a tile.</summary>
    public const int Rows = 192;

    private const int DepthBox = 64;
    private const int TokenBox = 32;

    /// <summary>
    /// [experts, rows, inputs] seen as [experts, rows / 16, gate or up, 8, inputs]: the copy parts gates from ups, so that both of a
    /// neuron come out in one thread.
    /// </summary>
    public static CudaTensorMap OfGateUp(Bf16Matrix matrix, int experts)
    {
        ulong row = (ulong)matrix.Inputs * sizeof(ushort);
        return CudaTensorMap.Tiled(
            CudaTensorMapDataType.BFloat16,
            matrix.Weight,
            [(ulong)matrix.Inputs, 8, 2, (ulong)matrix.Rows / 16, (ulong)experts],
            [2 * row, row, 16 * row, (ulong)matrix.Rows * row],
            [DepthBox, 8, 2, Rows / 16, 1],
            CudaTensorMapSwizzle.Swizzle128B);
    }

    /// <summary>[experts, rows, inputs].</summary>
    public static CudaTensorMap OfRows(Bf16Matrix matrix, int experts)
    {
        ulong row = (ulong)matrix.Inputs * sizeof(ushort);
        return CudaTensorMap.Tiled(
            CudaTensorMapDataType.BFloat16,
            matrix.Weight,
            [(ulong)matrix.Inputs, (ulong)matrix.Rows, (ulong)experts],
            [row, (ulong)matrix.Rows * row],
            [DepthBox, Rows, 1],
            CudaTensorMapSwizzle.Swizzle128B);
    }

    /// <summary>BF16 [pairs, columns], dense.</summary>
    public static CudaTensorMap OfTokens(nint rows, int columns, int pairs) => CudaTensorMap.Tiled(
        CudaTensorMapDataType.BFloat16,
        rows,
        [(ulong)columns, (ulong)pairs],
        [(ulong)columns * sizeof(ushort)],
        [DepthBox, TokenBox],
        CudaTensorMapSwizzle.Swizzle128B);
}
