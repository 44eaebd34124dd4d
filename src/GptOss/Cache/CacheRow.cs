using System.Numerics;
using System.Runtime.CompilerServices;

namespace Moe.Plugins.GptOss;

/// <summary>How a head's key or value is kept: float32, or BF16. Rows are padded with zeros to whole vectors.</summary>
internal static unsafe class CacheRow
{
    /// <summary>Elements that a head takes: so many that both types fill whole vectors.</summary>
    public static int Width(int headSize) => (headSize + (2 * Vector<float>.Count) - 1) / (2 * Vector<float>.Count) * (2 * Vector<float>.Count);

    /// <summary>Writes one row, padding included.</summary>
    public static void Write(byte* target, ReadOnlySpan<float> values, MoeElementType type)
    {
        int width = Width(values.Length);
        if (type == MoeElementType.Float32)
        {
            values.CopyTo(new Span<float>(target, values.Length));
            new Span<float>((float*)target + values.Length, width - values.Length).Clear();
            return;
        }

        for (int i = 0; i < values.Length; i++)
        {
            ((ushort*)target)[i] = MoeBFloat16.FromSingle(values[i]);
        }

        new Span<ushort>((ushort*)target + values.Length, width - values.Length).Clear();
    }

    /// <summary>Two vectors of a row, from an element on.</summary>
    internal interface IFormat
    {
        static abstract int ElementSize { get; }

        static abstract (Vector<float> First, Vector<float> Second) Load(byte* row, int i);
    }

    internal readonly struct Single : IFormat
    {
        static int IFormat.ElementSize => sizeof(float);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static (Vector<float> First, Vector<float> Second) IFormat.Load(byte* row, int i)
        {
            float* at = (float*)row + i;
            return (Unsafe.ReadUnaligned<Vector<float>>(at), Unsafe.ReadUnaligned<Vector<float>>(at + Vector<float>.Count));
        }
    }

    internal readonly struct Brain : IFormat
    {
        static int IFormat.ElementSize => sizeof(ushort);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        static (Vector<float> First, Vector<float> Second) IFormat.Load(byte* row, int i)
        {
            Vector.Widen(Unsafe.ReadUnaligned<Vector<ushort>>((ushort*)row + i), out Vector<uint> low, out Vector<uint> high);
            return (Vector.AsVectorSingle(low << 16), Vector.AsVectorSingle(high << 16));
        }
    }
}
