namespace Moe.Plugins.Sm100;

/// <summary>What a tcgen05 instruction is told about its operands: the host's twin of <c>native_layout.cuh</c>.</summary>
internal static class TcgenDescriptor
{
    private const int Swizzle128 = 2;
    private const uint TypeE2M1 = 5;
    private const uint TypeE4M3 = 0;

    /// <summary>An operand's tile in shared memory: rows of 128 bytes, 128-byte swizzle.</summary>
    public static ulong Operand(uint address) => Shared(address, 8 * NativeLayout.TileRowBytes, Swizzle128);

    /// <summary>A tile of scales in shared memory: 32 rows of 16 bytes, no swizzle.</summary>
    public static ulong Scales(uint address) => Shared(address, 8 * 16, 0);

    /// <summary>The instruction's descriptor (PTX ISA, "Instruction descriptor", kind mxf8f6f4).</summary>
    /// <param name="columns">Columns: tokens, a multiple of 8.</param>
    /// <param name="k">Which of a word's four scales belongs to the instruction's inputs.</param>
    public static uint Instruction(int columns, int k) =>
        ((uint)k << 4) | (TypeE2M1 << 7) | (TypeE4M3 << 10) | ((uint)(columns / 8) << 17) | (1u << 23)
        | ((uint)(NativeLayout.MmaRows / 128) << 27) | ((uint)k << 29);

    /// <summary>PTX ISA, "Shared memory descriptor": address and strides in 16 bytes, 0b001 from bit 46 on, the swizzle from bit 61 on.</summary>
    private static ulong Shared(uint address, uint stride, ulong swizzle) =>
        ((address & 0x3FFFF) >> 4) | ((ulong)(stride >> 4) << 32) | (1ul << 46) | (swizzle << 61);
}
