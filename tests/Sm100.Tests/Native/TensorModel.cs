using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>
/// What the PTX ISA says that the copy engine, <c>tcgen05.cp</c> and <c>tcgen05.mma</c> do with shared and tensor memory, as far as the
/// products use it. It reads operands through descriptors alone, so a wrong layout or descriptor gives a wrong product.
/// </summary>
internal sealed class TensorModel
{
    private static readonly double[] E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6];

    private readonly byte[] _shared = new byte[232448];
    private readonly uint[,] _tensor = new uint[128, 512];

    public double[,] Accumulator { get; } = new double[128, 256];

    /// <summary>A box of rows of 128 bytes with 128-byte swizzle: address bits 4 to 6 are xored with bits 7 to 9.</summary>
    public void LoadRow(int address, int row, ReadOnlySpan<byte> bytes)
    {
        for (int i = 0; i < bytes.Length; i++)
        {
            _shared[Swizzle(address + (row * 128) + i)] = bytes[i];
        }
    }

    /// <summary>A row of 4-bit codes, unpacked: 16 of them in the first 8 of each 16 bytes (CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN16B).</summary>
    public void LoadUnpackedRow(int address, int row, ReadOnlySpan<byte> packed)
    {
        byte[] bytes = new byte[packed.Length * 2];
        for (int i = 0; i < packed.Length; i++)
        {
            bytes[(i / 8 * 16) + (i % 8)] = packed[i];
        }

        LoadRow(address, row, bytes);
    }

    public void LoadBytes(int address, ReadOnlySpan<byte> bytes) => bytes.CopyTo(_shared.AsSpan(address));

    /// <summary><c>tcgen05.cp.32x128b.warpx4</c>: 32 rows of 16 bytes, 8 rows of them a stride; row i to lane i of every group of 32.</summary>
    public void CopyScales(int column, ulong descriptor)
    {
        (int start, int stride, int swizzle) = Decode(descriptor);
        Assert.Equal(0, swizzle);
        for (int lane = 0; lane < 128; lane++)
        {
            int row = lane % 32;
            for (int word = 0; word < 4; word++)
            {
                _tensor[lane, column + word] = BitConverter.ToUInt32(_shared, start + (row / 8 * stride) + (row % 8 * 16) + (word * 4));
            }
        }
    }

    /// <summary><c>tcgen05.mma.kind::mxf8f6f4.block_scale</c>, A of E2M1 and B of E4M3, both K-major.</summary>
    public void Multiply(ulong a, ulong b, uint instruction, int aScales, int bScales)
    {
        Assert.Equal((5u, 0u, 1u, 1u), (instruction >> 7 & 7, instruction >> 10 & 7, instruction >> 23 & 1, instruction >> 27 & 3));
        Assert.Equal(0u, instruction & ~((3u << 4) | (7u << 7) | (63u << 17) | (1u << 23) | (3u << 27) | (3u << 29)));
        int columns = (int)(instruction >> 17 & 63) * 8;
        for (int row = 0; row < 128; row++)
        {
            double aScale = Scale(aScales, row, (int)(instruction >> 29 & 3));
            for (int column = 0; column < columns; column++)
            {
                double sum = 0;
                for (int k = 0; k < 32; k++)
                {
                    int code = Read(a, row, (k / 16 * 16) + (k % 16 / 2)) >> (k % 2 * 4) & 15;
                    sum += E2M1[code] * E4M3.Decode(Read(b, column, k));
                }

                Accumulator[row, column] += sum * aScale * Scale(bScales, column, (int)(instruction >> 4 & 3));
            }
        }
    }

    private static int Swizzle(int address) => address ^ (address >> 7 & 7) << 4;

    private static (int Start, int Stride, int Swizzle) Decode(ulong descriptor)
    {
        Assert.Equal(1ul, descriptor >> 46 & 7);
        Assert.Equal(0ul, descriptor >> 49 & 0xFFF);
        return ((int)(descriptor & 0x3FFF) << 4, (int)(descriptor >> 32 & 0x3FFF) << 4, (int)(descriptor >> 61));
    }

    /// <summary>Scale vector 1X: row r in column r / 32, lane r mod 32, the byte that the instruction's id names.</summary>
    private double Scale(int column, int row, int id) =>
        Math.ScaleB(1, (int)(_tensor[row % 32, column + (row / 32)] >> (8 * id) & 0xFF) - 127);

    private byte Read(ulong descriptor, int row, int rowByte)
    {
        (int start, int stride, int swizzle) = Decode(descriptor);
        Assert.Equal(2, swizzle);
        return _shared[Swizzle(start + (row / 8 * stride) + (row % 8 * 128) + rowByte)];
    }
}
