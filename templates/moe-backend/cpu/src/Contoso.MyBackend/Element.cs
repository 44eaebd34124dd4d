using Moe.Plugins;

namespace Contoso.MyBackend;

/// <summary>Reads and writes one element of a tensor in the process's own memory: float32 or BF16.</summary>
internal static unsafe class Element
{
    public static float Read(in MoeTensorView view, int row, int column, int plane = 0)
    {
        nint address = view.RowAddress(row, plane);
        return view.ElementType == MoeElementType.Float32
            ? ((float*)address)[column]
            : BitConverter.UInt32BitsToSingle((uint)((ushort*)address)[column] << 16);
    }

    public static void Write(in MoeTensorView view, int row, int column, float value)
    {
        nint address = view.RowAddress(row);
        if (view.ElementType == MoeElementType.Float32)
        {
            ((float*)address)[column] = value;
            return;
        }

        // To nearest, ties to even; NaN stays NaN.
        uint bits = BitConverter.SingleToUInt32Bits(value);
        ((ushort*)address)[column] = float.IsNaN(value) ? (ushort)0x7FC0 : (ushort)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }
}
