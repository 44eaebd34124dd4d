namespace Moe.Plugins.GptOss;

/// <summary>
/// Rotary positions stretched by YaRN (Peng et al. 2023; transformers <c>modeling_rope_utils.py</c>, <c>_compute_yarn_parameters</c>): slow
/// rotations are slowed by <see cref="Factor"/>, fast ones are kept, those between are blended. The defaults are GPT-OSS's.
/// </summary>
public sealed record YarnScaling
{
    /// <summary>θ, the base of the frequencies.</summary>
    public double Theta { get; init; } = 150000;

    /// <summary>How much longer than <see cref="OriginalContext"/> texts may be; 1 for no stretching.</summary>
    public double Factor { get; init; } = 32;

    /// <summary>Turns within the original context from which on a frequency is kept.</summary>
    public double BetaFast { get; init; } = 32;

    /// <summary>Turns within the original context up to which a frequency is divided by the factor.</summary>
    public double BetaSlow { get; init; } = 1;

    /// <summary>Positions that the model was first trained on.</summary>
    public int OriginalContext { get; init; } = 4096;

    /// <summary>Whether the ends of the blend are rounded outwards to whole dimensions. GPT-OSS does not.</summary>
    public bool Truncate { get; init; }

    /// <summary>What multiplies cosine and sine of queries and keys alike: 0.1 · ln(factor) + 1.</summary>
    public double AttentionFactor => Factor <= 1 ? 1 : (0.1 * Math.Log(Factor)) + 1;

    /// <summary>Radians a position for each pair of a head's elements.</summary>
    /// <param name="headSize">The head's width d; element i is paired with element i + d/2.</param>
    public double[] Frequencies(int headSize)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(headSize, 2);
        double low = Dimension(BetaFast, headSize);
        double high = Dimension(BetaSlow, headSize);
        if (Truncate)
        {
            (low, high) = (Math.Floor(low), Math.Ceiling(high));
        }

        (low, high) = (Math.Max(low, 0), Math.Min(high, headSize - 1));
        if (low == high)
        {
            // As the reference does, so that the blend is never divided by nothing.
            high += 0.001;
        }

        double[] frequencies = new double[headSize / 2];
        for (int i = 0; i < frequencies.Length; i++)
        {
            double ramp = Math.Clamp((i - low) / (high - low), 0, 1);
            double own = Math.Pow(Theta, -2.0 * i / headSize);
            frequencies[i] = ((1 - ramp) * own) + (ramp * own / Factor);
        }

        return frequencies;
    }

    /// <summary>The dimension whose frequency makes so many turns within the original context.</summary>
    private double Dimension(double turns, int headSize) =>
        headSize * Math.Log(OriginalContext / (turns * 2 * Math.PI)) / (2 * Math.Log(Theta));
}
