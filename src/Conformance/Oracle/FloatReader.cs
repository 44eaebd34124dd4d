namespace Moe.Plugins.Conformance;

/// <summary>Reads host tensors of BF16 or float32 as float64, exactly.</summary>
internal static unsafe class FloatReader
{
    /// <summary>One element; not range-checked.</summary>
    public static double Read(MoeTensorView view, int row, int column, int plane = 0)
    {
        byte* start = (byte*)view.RowAddress(row, plane);
        return view.ElementType == MoeElementType.BFloat16 ? Widen(((ushort*)start)[column]) : ((float*)start)[column];
    }

    /// <summary>The first elements of a row; not range-checked.</summary>
    public static void ReadRow(MoeTensorView view, int row, int plane, Span<double> destination)
    {
        byte* start = (byte*)view.RowAddress(row, plane);
        if (view.ElementType == MoeElementType.BFloat16)
        {
            for (int i = 0; i < destination.Length; i++)
            {
                destination[i] = Widen(((ushort*)start)[i]);
            }
        }
        else
        {
            for (int i = 0; i < destination.Length; i++)
            {
                destination[i] = ((float*)start)[i];
            }
        }
    }

    /// <summary>Checks that a tensor can be read here.</summary>
    /// <exception cref="ArgumentException">It is not BF16 or float32 in host memory.</exception>
    public static void Require(MoeTensorView view, string name)
    {
        if (view.IsEmpty || view.Device.Kind != MoeDeviceKind.Cpu || view.ElementType is not (MoeElementType.BFloat16 or MoeElementType.Float32))
        {
            throw new ArgumentException($"{view.ElementType} on {view.Device} is no BF16 or float32 tensor in host memory.", name);
        }
    }

    private static float Widen(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);
}
