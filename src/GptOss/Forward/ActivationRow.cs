using System.Numerics.Tensors;

namespace Moe.Plugins.GptOss;

/// <summary>Rows between float32, which everything is computed in, and the type that expert layers exchange.</summary>
internal static unsafe class ActivationRow
{
    /// <summary>Adds a row of a tensor to a row of the stream.</summary>
    public static void Add(MoeTensorView view, int row, Span<float> stream)
    {
        if (view.ElementType == MoeElementType.Float32)
        {
            TensorPrimitives.Add(stream, new ReadOnlySpan<float>((float*)view.RowAddress(row), stream.Length), stream);
            return;
        }

        var values = new ReadOnlySpan<ushort>((ushort*)view.RowAddress(row), stream.Length);
        for (int i = 0; i < stream.Length; i++)
        {
            stream[i] += MoeBFloat16.ToSingle(values[i]);
        }
    }

    /// <summary>Writes a row of a tensor.</summary>
    public static void Write(MoeTensorView view, int row, ReadOnlySpan<float> values)
    {
        if (view.ElementType == MoeElementType.Float32)
        {
            values.CopyTo(new Span<float>((float*)view.RowAddress(row), values.Length));
            return;
        }

        var target = new Span<ushort>((ushort*)view.RowAddress(row), values.Length);
        for (int i = 0; i < values.Length; i++)
        {
            target[i] = MoeBFloat16.FromSingle(values[i]);
        }
    }
}
