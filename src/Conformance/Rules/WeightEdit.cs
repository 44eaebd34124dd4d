namespace Moe.Plugins.Conformance;

/// <summary>Overwrites a random layer's tensors in place.</summary>
internal static unsafe class WeightEdit
{
    /// <summary>Codes or BF16 values of zero.</summary>
    public static void ClearValues(RandomMatrix matrix) => ClearRows(matrix, static _ => true);

    /// <summary>Zeros in some outputs' weights.</summary>
    public static void ClearRows(RandomMatrix matrix, Func<int, bool> isCleared)
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

    /// <summary>Float32 values by the expert.</summary>
    public static void FillSelectionBias(MoeTensorView bias, Func<int, float> value)
    {
        var elements = new Span<float>((void*)bias.Address, bias.Columns);
        for (int i = 0; i < elements.Length; i++)
        {
            elements[i] = value(i);
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

    /// <summary>Every second block of a row has a scale that is smaller by a power of two.</summary>
    public static void LowerEverySecondScale(MoeTensorView scales, int exponent)
    {
        Span<byte> bytes = Bytes(scales);
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] -= (byte)(i % scales.Columns % 2 * exponent);
        }
    }

    /// <summary>Codes without signs.</summary>
    public static void ClearSigns(MoeTensorView codes)
    {
        foreach (ref byte pair in Bytes(codes))
        {
            pair &= 0x77;
        }
    }

    /// <summary>Each byte's two codes change places.</summary>
    public static void SwapNibbles(MoeTensorView codes)
    {
        foreach (ref byte code in Bytes(codes))
        {
            code = (byte)((code << 4) | (code >> 4));
        }
    }

    /// <summary>Each row's first scale in all of its blocks.</summary>
    public static void RepeatFirstScale(MoeTensorView scales)
    {
        Span<byte> bytes = Bytes(scales);
        for (int row = 0; row < bytes.Length; row += scales.Columns)
        {
            bytes.Slice(row, scales.Columns).Fill(bytes[row]);
        }
    }

    /// <summary>Gates and ups change places, with their scales and biases; where they are not interleaved, nothing happens.</summary>
    public static void SwapGatesAndUps(RandomMatrix matrix)
    {
        if (matrix.RowOrder != MoeRowOrder.Interleaved)
        {
            return;
        }

        SwapPairs(matrix.Values, (int)matrix.Values.RowStride);
        SwapPairs(matrix.Scales, (int)matrix.Scales.RowStride);
        SwapPairs(matrix.Bias, matrix.Bias.ElementType.ByteSize());
    }

    private static void SwapPairs(MoeTensorView view, int size)
    {
        Span<byte> bytes = Bytes(view);
        byte[] first = new byte[size];
        for (int at = 0; at < bytes.Length; at += 2 * size)
        {
            bytes.Slice(at, size).CopyTo(first);
            bytes.Slice(at + size, size).CopyTo(bytes[at..]);
            first.CopyTo(bytes[(at + size)..]);
        }
    }

    private static Span<byte> Bytes(MoeTensorView view) => new((void*)view.Address, checked((int)(view.Planes * view.PlaneStride)));
}
