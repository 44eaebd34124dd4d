namespace Moe.Plugins.Conformance;

/// <summary>Overwrites a random layer's tensors in place.</summary>
internal static unsafe class WeightEdit
{
    /// <summary>Codes or BF16 values of zero.</summary>
    public static void ClearValues(MoeExpertMatrix matrix) => ClearRows(matrix, static _ => true);

    /// <summary>Zeros in some outputs' weights.</summary>
    public static void ClearRows(MoeExpertMatrix matrix, Func<int, bool> isCleared)
    {
        MoeTensorView values = matrix.Values;
        for (int plane = 0; plane < values.Planes; plane++)
        {
            for (int row = 0; row < values.Rows; row++)
            {
                if (isCleared(row))
                {
                    new Span<byte>((void*)values.RowAddress(row, plane), (int)values.RowBytes).Clear();
                }
            }
        }
    }

    /// <summary>One BF16 value everywhere.</summary>
    public static void Fill(MoeTensorView view, ushort value) => FillByIndex(view, _ => value);

    /// <summary>BF16 values by the column.</summary>
    public static void FillByIndex(MoeTensorView view, Func<int, int> value)
    {
        for (int row = 0; row < view.Rows && !view.IsEmpty; row++)
        {
            var elements = new Span<ushort>((void*)view.RowAddress(row), view.Columns);
            for (int i = 0; i < elements.Length; i++)
            {
                elements[i] = (ushort)value(i);
            }
        }
    }

    /// <summary>Zeros in the other half of each byte of codes.</summary>
    public static void KeepNibble(MoeTensorView codes, bool isLow)
    {
        foreach (ref byte code in Bytes(codes))
        {
            code &= isLow ? (byte)0x0F : (byte)0xF0;
        }
    }

    /// <summary>Scales that differ from block to block and from row to row.</summary>
    public static void SpreadScales(MoeTensorView scales)
    {
        Span<byte> bytes = Bytes(scales);
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = (byte)(118 + (((i / scales.Columns) + (3 * (i % scales.Columns))) % 8));
        }
    }

    private static Span<byte> Bytes(MoeTensorView view) => new((void*)view.Address, checked((int)(view.Planes * view.PlaneStride)));
}
