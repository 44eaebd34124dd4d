namespace Moe.Plugins.Sm100.Tests;

/// <summary>Random MXFP4 rows as a checkpoint has them, and the same in the native layout, by its twin's words.</summary>
internal sealed class Mxfp4Rows
{
    private static readonly double[] E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6];

    private readonly byte[] _codes;
    private readonly byte[] _scales;
    private readonly int _rows;

    public Mxfp4Rows(Random random, int rows, int depth)
    {
        _rows = rows;
        Depth = depth;
        _codes = new byte[rows * depth / 2];
        _scales = new byte[rows * depth / 32];
        random.NextBytes(_codes);
        for (int i = 0; i < _scales.Length; i++)
        {
            _scales[i] = (byte)random.Next(122, 128);
        }
    }

    public int Depth { get; }

    public double Dot(int row, double[] x)
    {
        double sum = 0;
        for (int i = 0; i < Depth; i++)
        {
            int code = _codes[((row * Depth) + i) / 2] >> (i % 2 * 4) & 15;
            sum += E2M1[code] * Math.ScaleB(1, _scales[((row * Depth) + i) / 32] - 127) * x[i];
        }

        return sum;
    }

    public (byte[] Codes, byte[] Scales) ToNative(int paddedDepth, int halves)
    {
        int paddedRows = Mxfp8Layout.RoundUp(_rows, 256);
        byte[] codes = new byte[paddedRows * paddedDepth / 2];
        byte[] scales = new byte[paddedRows * paddedDepth / 32];
        for (int row = 0; row < _rows; row++)
        {
            int place = halves == 2 ? NativeLayout.GateUpPlace(row) : row;
            _codes.AsSpan(row * Depth / 2, Depth / 2).CopyTo(codes.AsSpan(place * paddedDepth / 2));
            for (int block = 0; block < Depth / 32; block++)
            {
                scales[NativeLayout.ScaleOffset(place, block, paddedDepth, halves)] = _scales[(row * Depth / 32) + block];
            }
        }

        return (codes, scales);
    }
}
