using System.Numerics.Tensors;

namespace Moe.Plugins.GptOss;

/// <summary>What attention has summed for some heads: [heads] of the maximum m, Σ exp(z − m), and [width] Σ exp(z − m) · value.</summary>
internal readonly unsafe struct AttentionState(float* memory, int heads, int width)
{
    /// <summary>Floats that it takes.</summary>
    public static long Size(int heads, int width) => (long)heads * (width + 2);

    /// <summary>Nothing summed yet, but the heads' sinks where there are any here.</summary>
    public void Begin(ReadOnlySpan<float> sinks)
    {
        for (int head = 0; head < heads; head++)
        {
            Maximum(head) = sinks.IsEmpty ? float.NegativeInfinity : sinks[head];
            Sum(head) = sinks.IsEmpty ? 0 : 1;
        }

        new Span<float>(Values(0), heads * width).Clear();
    }

    public ref float Maximum(int head) => ref memory[head];

    public ref float Sum(int head) => ref memory[heads + head];

    public float* Values(int head) => memory + (2 * heads) + ((long)head * width);

    /// <summary>Adds what was summed over later positions.</summary>
    public void Add(AttentionState later)
    {
        for (int head = 0; head < heads; head++)
        {
            float higher = Math.Max(Maximum(head), later.Maximum(head));
            float own = MathF.Exp(Maximum(head) - higher), other = MathF.Exp(later.Maximum(head) - higher);
            Maximum(head) = higher;
            Sum(head) = (own * Sum(head)) + (other * later.Sum(head));
            var values = new Span<float>(Values(head), width);
            TensorPrimitives.Multiply(values, own, values);
            TensorPrimitives.MultiplyAdd(new ReadOnlySpan<float>(later.Values(head), width), other, values, values);
        }
    }

    /// <summary>A head's result, scaled in place.</summary>
    public Span<float> Finish(int head)
    {
        var values = new Span<float>(Values(head), width);
        TensorPrimitives.Multiply(values, 1 / Sum(head), values);
        return values;
    }
}
