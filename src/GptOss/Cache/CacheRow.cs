using System.Numerics;
using System.Runtime.CompilerServices;

namespace Moe.Plugins.GptOss;

/// <summary>How a head's key or value is kept: float32, or BF16.</summary>
internal static unsafe class CacheRow
{
    /// <summary>Elements that a head takes: so many that both types fill whole vectors.</summary>
    public static int Width(int headSize) => (headSize + (2 * Vector<float>.Count) - 1) / (2 * Vector<float>.Count) * (2 * Vector<float>.Count);

    /// <summary>Writes a value as a row, padded with zeros to whole vectors.</summary>
    public static void WriteValue(byte* values, int position, ReadOnlySpan<float> value, MoeElementType type)
    {
        int width = Width(value.Length);
        if (type == MoeElementType.Float32)
        {
            var row = new Span<float>((float*)values + ((long)position * width), width);
            value.CopyTo(row);
            row[value.Length..].Clear();
            return;
        }

        var rounded = new Span<ushort>((ushort*)values + ((long)position * width), width);
        for (int i = 0; i < value.Length; i++)
        {
            rounded[i] = MoeBFloat16.FromSingle(value[i]);
        }

        rounded[value.Length..].Clear();
    }

    /// <summary>Writes a key as a column of its tile.</summary>
    public static void WriteKey(byte* keys, int position, ReadOnlySpan<float> key, MoeElementType type)
    {
        long first = ((long)(position / CachePage.TilePositions) * Width(key.Length) * CachePage.TilePositions) + (position % CachePage.TilePositions);
        for (int i = 0; i < key.Length; i++)
        {
            long at = first + ((long)i * CachePage.TilePositions);
            if (type == MoeElementType.Float32)
            {
                ((float*)keys)[at] = key[i];
            }
            else
            {
                ((ushort*)keys)[at] = MoeBFloat16.FromSingle(key[i]);
            }
        }
    }

    /// <summary>Two vectors, from an element on.</summary>
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
