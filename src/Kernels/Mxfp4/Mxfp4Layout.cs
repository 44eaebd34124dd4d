namespace Moe.Plugins.Kernels;

/// <summary>How MXFP4 weights lie on the device: the host's twin of <c>mxfp4.cuh</c>, which says why they lie so.</summary>
public static class Mxfp4Layout
{
    /// <summary>Values that share a scale, in MXFP4 as in MXFP8 (OCP Microscaling Formats v1.0, §5.2).</summary>
    public const int BlockSize = MoeExpertReader.Mxfp4Block;

    /// <summary>Rows of a group.</summary>
    public const int GroupRows = 16;

    /// <summary>Inputs of a group.</summary>
    public const int GroupDepth = 64;

    /// <summary>Bytes of a group's codes.</summary>
    public const int GroupCodeBytes = GroupRows * GroupDepth / 2;

    /// <summary>Bytes of a group: codes, and one scale per row and block.</summary>
    public const int GroupBytes = GroupCodeBytes + (GroupRows * GroupDepth / BlockSize);

    /// <summary>Groups of rows of a band.</summary>
    public const int BandGroups = 4;

    /// <summary>Rows of a band.</summary>
    public const int BandRows = BandGroups * GroupRows;

    /// <summary>What a scale byte has more than E8M0: the widening multiplies by 2^126 as well.</summary>
    private const int ScaleShift = 126;

    /// <summary>Groups along the inputs.</summary>
    public static int Steps(int depth)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(depth);
        return (depth + GroupDepth - 1) / GroupDepth;
    }

    /// <summary>Bands of rows; the last is filled up.</summary>
    public static int Bands(int rows)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        return (rows + BandRows - 1) / BandRows;
    }

    /// <summary>Bytes of one expert's matrix.</summary>
    public static long ExpertBytes(int rows, int depth) => (long)Bands(rows) * BandGroups * Steps(depth) * GroupBytes;

    /// <summary>Reads an expert's groups back into the checkpoint's format.</summary>
    /// <param name="groups">The expert's groups.</param>
    /// <param name="factors">The rows' own factors, or empty where all are 1.</param>
    /// <param name="codes">[rows, depth / 2]: two codes per byte, low nibble first.</param>
    /// <param name="scales">[rows, depth / 32]: E8M0.</param>
    /// <param name="rows">Weight rows, a multiple of 16.</param>
    /// <param name="depth">Inputs, a multiple of 32.</param>
    /// <param name="isGateUp">Whether gates and ups are interleaved weight rows, which a group's halves part.</param>
    public static void Unpack(
        ReadOnlySpan<byte> groups, ReadOnlySpan<float> factors, Span<byte> codes, Span<byte> scales, int rows, int depth, bool isGateUp)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        int steps = Steps(depth);
        for (int row = 0; row < rows; row++)
        {
            int inGroup = row % GroupRows;
            int place = !isGateUp ? inGroup : inGroup % 2 == 0 ? inGroup / 2 : 8 + (inGroup / 2);
            int offset = factors.IsEmpty ? 0 : (int)Math.Log2(factors[row]);
            for (int step = 0; step < steps; step++)
            {
                int at = (((row / BandRows * steps) + step) * BandGroups) + (row % BandRows / GroupRows);
                ReadOnlySpan<byte> group = groups.Slice(at * GroupBytes, GroupBytes);
                UnpackRow(group, place, codes.Slice(row * depth / 2, depth / 2), step);
                for (int block = 0; block < 2 && (step * 2) + block < depth / BlockSize; block++)
                {
                    byte scale = group[GroupCodeBytes + (place % 8 * 4) + (place / 8 * 2) + block];
                    scales[(row * (depth / BlockSize)) + (step * 2) + block] = (byte)(scale - ScaleShift + offset);
                }
            }
        }
    }

    /// <summary>Where the four bits of a code lie in a word: sign, exponent high and low, mantissa.</summary>
    /// <param name="pair">0 to 3: the first inputs of a block, and those 8, 16 and 24 further.</param>
    /// <param name="half">0 for the even input, 1 for the odd.</param>
    private static (int Sign, int High, int Low, int Mantissa) Bits(int pair, int half)
    {
        int start = 16 * half;
        return pair switch
        {
            0 => (start + 15, start + 8, start + 7, start + 6),
            1 => (start + 11, start + 4, start + 3, start + 2),
            2 => ((start + 21) % 32, start + 14, start + 13, start + 12),
            _ => ((start + 17) % 32, start + 10, start + 9, start),
        };
    }

    private static void UnpackRow(ReadOnlySpan<byte> group, int place, Span<byte> codes, int step)
    {
        for (int input = step * GroupDepth; input < Math.Min((step + 1) * GroupDepth, codes.Length * 2); input++)
        {
            int within = input % BlockSize;
            int lane = (place % 8 * 4) + (within % 8 / 2);
            uint word = BitConverter.ToUInt32(group.Slice((lane * 16) + (input % GroupDepth / BlockSize * 8) + (place / 8 * 4), 4));
            (int sign, int high, int low, int mantissa) = Bits(within / 8, input % 2);
            uint code = ((word >> sign & 1) << 3) | ((word >> high & 1) << 2) | ((word >> low & 1) << 1) | (word >> mantissa & 1);
            int shift = input % 2 * 4;
            codes[input / 2] = (byte)((codes[input / 2] & (0xF0 >> shift)) | (int)(code << shift));
        }
    }
}
