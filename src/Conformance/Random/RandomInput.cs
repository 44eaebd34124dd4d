namespace Moe.Plugins.Conformance;

/// <summary>Random activations.</summary>
public static class RandomInput
{
    /// <summary>One channel in so many is an outlier, as large language models have them.</summary>
    internal const int OutlierEvery = 97;

    /// <summary>How much larger an outlier is.</summary>
    internal const double OutlierFactor = 12;

    /// <summary>Root of the mean square of all channels.</summary>
    internal static readonly double Deviation = Math.Sqrt(1 + (((OutlierFactor * OutlierFactor) - 1) / OutlierEvery));

    /// <summary>Makes [tokens, hidden] BF16 values around 0 with variance 1, every 97th channel 12 times larger.</summary>
    /// <param name="tokens">Rows, 0 or more.</param>
    /// <param name="hiddenSize">Columns.</param>
    /// <param name="seed">The same seed gives the same values, everywhere.</param>
    /// <exception cref="MoeException">There is not that much memory.</exception>
    public static MoeBuffer Create(int tokens, int hiddenSize, int seed)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tokens);
        ArgumentOutOfRangeException.ThrowIfNegative(hiddenSize);
        var input = MoeBuffer.OnHost(MoeElementType.BFloat16, tokens, hiddenSize);
        RandomBits.FillBell(input.View, RandomBits.At((ulong)seed, -1), 1, OutlierEvery, OutlierFactor);
        return input;
    }
}
