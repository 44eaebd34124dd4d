using System.Runtime.InteropServices;

namespace Moe.Plugins.Conformance;

/// <summary>Reads tensors of BF16, FP16 or float32 as float64, exactly.</summary>
internal static unsafe class FloatReader
{
    /// <summary>One element; not range-checked.</summary>
    public static double Read(MoeTensorView view, int row, int column, int plane = 0)
    {
        byte* start = (byte*)view.RowAddress(row, plane);
        return view.ElementType == MoeElementType.BFloat16 ? Widen(((ushort*)start)[column]) : ((float*)start)[column];
    }

    /// <summary>One element of a stored tensor.</summary>
    public static double Read(MoeStoredTensor tensor, int row, int column, int plane = 0)
    {
        Span<double> value = stackalloc double[1];
        ReadRow(tensor, row, plane, value, column);
        return value[0];
    }

    /// <summary>The first elements of a row; not range-checked.</summary>
    public static void ReadRow(MoeTensorView view, int row, int plane, Span<double> destination)
    {
        byte* start = (byte*)view.RowAddress(row, plane);
        Widen(view.ElementType, new ReadOnlySpan<byte>(start, destination.Length * view.ElementType.ByteSize()), destination);
    }

    /// <summary>Elements of a row of a stored tensor, from <paramref name="firstColumn"/> on.</summary>
    public static void ReadRow(MoeStoredTensor tensor, int row, int plane, Span<double> destination, int firstColumn = 0)
    {
        byte[] bytes = new byte[destination.Length * tensor.ElementType.ByteSize()];
        fixed (byte* target = bytes)
        {
            tensor.Read(plane, row, 1, firstColumn, destination.Length, (nint)target);
        }

        Widen(tensor.ElementType, bytes, destination);
    }

    /// <summary>A row of a stored tensor as it is.</summary>
    public static byte[] ReadBytes(MoeStoredTensor tensor, int row, int plane)
    {
        byte[] bytes = new byte[tensor.RowBytes];
        fixed (byte* target = bytes)
        {
            tensor.ReadRows(plane, row, 1, (nint)target);
        }

        return bytes;
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

    private static void Widen(MoeElementType type, ReadOnlySpan<byte> bytes, Span<double> destination)
    {
        switch (type)
        {
            case MoeElementType.BFloat16:
                ReadOnlySpan<ushort> bits = MemoryMarshal.Cast<byte, ushort>(bytes);
                for (int i = 0; i < destination.Length; i++)
                {
                    destination[i] = Widen(bits[i]);
                }

                break;
            case MoeElementType.Float16:
                ReadOnlySpan<Half> halves = MemoryMarshal.Cast<byte, Half>(bytes);
                for (int i = 0; i < destination.Length; i++)
                {
                    destination[i] = (double)halves[i];
                }

                break;
            case MoeElementType.Float32:
                ReadOnlySpan<float> singles = MemoryMarshal.Cast<byte, float>(bytes);
                for (int i = 0; i < destination.Length; i++)
                {
                    destination[i] = singles[i];
                }

                break;
            default:
                throw new ArgumentException($"{type} is no type of numbers that the oracle widens.");
        }
    }

    private static float Widen(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);
}
