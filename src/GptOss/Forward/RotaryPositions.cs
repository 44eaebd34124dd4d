namespace Moe.Plugins.GptOss;

/// <summary>
/// Cosines and sines of a batch's positions, times the attention factor. They are computed in float64: at position 131071 a float32
/// phase is off by thousandths of a radian.
/// </summary>
internal sealed class RotaryPositions
{
    private readonly double[] _frequencies;
    private readonly double _factor;
    private readonly float[] _cosines;
    private readonly float[] _sines;

    public RotaryPositions(YarnScaling scaling, int headSize, int maxTokens)
    {
        _frequencies = scaling.Frequencies(headSize);
        _factor = scaling.AttentionFactor;
        _cosines = new float[maxTokens * _frequencies.Length];
        _sines = new float[maxTokens * _frequencies.Length];
    }

    /// <summary>Sets the position of a token of the batch.</summary>
    public void Set(int token, int position)
    {
        int first = token * _frequencies.Length;
        for (int i = 0; i < _frequencies.Length; i++)
        {
            (double sine, double cosine) = Math.SinCos(position * _frequencies[i]);
            _cosines[first + i] = (float)(_factor * cosine);
            _sines[first + i] = (float)(_factor * sine);
        }
    }

    /// <summary>Copies a token's turns: cosine and sine of each pair of elements.</summary>
    public void CopyTurns(int token, Span<float> turns)
    {
        int half = _frequencies.Length;
        for (int i = 0; i < half; i++)
        {
            turns[2 * i] = _cosines[(token * half) + i];
            turns[(2 * i) + 1] = _sines[(token * half) + i];
        }
    }

    /// <summary>Rotates one head: element i with element i + half.</summary>
    public void Rotate(int token, Span<float> head, float scale = 1)
    {
        int half = _frequencies.Length;
        ReadOnlySpan<float> cosines = _cosines.AsSpan(token * half, half);
        ReadOnlySpan<float> sines = _sines.AsSpan(token * half, half);
        for (int i = 0; i < half; i++)
        {
            float low = head[i], high = head[i + half];
            head[i] = scale * ((low * cosines[i]) - (high * sines[i]));
            head[i + half] = scale * ((high * cosines[i]) + (low * sines[i]));
        }
    }
}
