using System.Runtime.CompilerServices;

namespace Moe.Plugins.Cpu;

/// <summary>Converts between float32 and the contract's activation types.</summary>
internal static unsafe class Floats
{
    /// <summary>One element of a BF16 or float32 tensor.</summary>
    public static float Read(in MoeTensorView view, int row, int column) => view.ElementType == MoeElementType.Float32
        ? ((float*)view.RowAddress(row))[column]
        : MoeBFloat16.ToSingle(((ushort*)view.RowAddress(row))[column]);

    /// <summary>Copies a row of a BF16 or float32 tensor to every <paramref name="stride"/>th float of a buffer.</summary>
    public static void ReadRow(in MoeTensorView view, int row, float* target, int stride)
    {
        if (view.ElementType == MoeElementType.Float32)
        {
            float* source = (float*)view.RowAddress(row);
            for (int i = 0; i < view.Columns; i++)
            {
                target[(long)i * stride] = source[i];
            }
        }
        else
        {
            ushort* source = (ushort*)view.RowAddress(row);
            for (int i = 0; i < view.Columns; i++)
            {
                target[(long)i * stride] = MoeBFloat16.ToSingle(source[i]);
            }
        }
    }

    /// <summary>Writes a row of a BF16 or float32 tensor, and nothing beyond it.</summary>
    public static void WriteRow(in MoeTensorView view, int row, float* source)
    {
        if (view.ElementType == MoeElementType.Float32)
        {
            Unsafe.CopyBlockUnaligned((void*)view.RowAddress(row), source, (uint)view.RowBytes);
            return;
        }

        ushort* target = (ushort*)view.RowAddress(row);
        for (int i = 0; i < view.Columns; i++)
        {
            target[i] = MoeBFloat16.FromSingle(source[i]);
        }
    }
}
