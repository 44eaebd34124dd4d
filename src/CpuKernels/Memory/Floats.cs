using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>Converts between float32 and the contract's activation types.</summary>
internal static unsafe class Floats
{
    /// <summary>One element of a BF16 or float32 tensor.</summary>
    public static float Read(in MoeTensorView view, int row, int column) => view.ElementType == MoeElementType.Float32
        ? ((float*)view.RowAddress(row))[column]
        : MoeBFloat16.ToSingle(((ushort*)view.RowAddress(row))[column]);

    /// <summary>Copies a row of a BF16 or float32 tensor to a buffer.</summary>
    public static void ReadRow(in MoeTensorView view, int row, float* target)
    {
        if (view.ElementType == MoeElementType.Float32)
        {
            Unsafe.CopyBlockUnaligned(target, (void*)view.RowAddress(row), (uint)(view.Columns * sizeof(float)));
            return;
        }

        ushort* source = (ushort*)view.RowAddress(row);
        int i = 0;
        for (; i <= view.Columns - Vector128<ushort>.Count; i += Vector128<ushort>.Count)
        {
            (Vector128<uint> low, Vector128<uint> high) = Vector128.Widen(Vector128.Load(source + i));
            (low << 16).AsSingle().Store(target + i);
            (high << 16).AsSingle().Store(target + i + Vector128<float>.Count);
        }

        for (; i < view.Columns; i++)
        {
            target[i] = MoeBFloat16.ToSingle(source[i]);
        }
    }

    /// <summary>sum += other.</summary>
    public static void Add(float* sum, float* other, int count)
    {
        int i = 0;
        for (; i <= count - Vector256<float>.Count; i += Vector256<float>.Count)
        {
            (Vector256.Load(sum + i) + Vector256.Load(other + i)).Store(sum + i);
        }

        for (; i < count; i++)
        {
            sum[i] += other[i];
        }
    }

    /// <summary>target = factor · source.</summary>
    public static void Multiply(float* source, float factor, float* target, int count)
    {
        int i = 0;
        for (; i <= count - Vector256<float>.Count; i += Vector256<float>.Count)
        {
            (factor * Vector256.Load(source + i)).Store(target + i);
        }

        for (; i < count; i++)
        {
            target[i] = factor * source[i];
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
        int i = 0;
        for (; i <= view.Columns - Vector128<ushort>.Count; i += Vector128<ushort>.Count)
        {
            Vector128.Narrow(Round(source + i), Round(source + i + Vector128<float>.Count)).Store(target + i);
        }

        for (; i < view.Columns; i++)
        {
            target[i] = MoeBFloat16.FromSingle(source[i]);
        }
    }

    /// <summary><see cref="MoeBFloat16.FromSingle"/> of four: to the nearest, of two the even one, and a NaN stays one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<uint> Round(float* source)
    {
        Vector128<float> values = Vector128.Load(source);
        Vector128<uint> bits = values.AsUInt32();
        Vector128<uint> rounded = (bits + Vector128.Create(0x7FFFu) + ((bits >>> 16) & Vector128<uint>.One)) >>> 16;
        return Vector128.ConditionalSelect(Vector128.Equals(values, values).AsUInt32(), rounded, (bits >>> 16) | Vector128.Create(0x40u));
    }
}
