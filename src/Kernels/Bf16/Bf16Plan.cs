namespace Moe.Plugins.Kernels;

/// <summary>Which kernels run a number of tokens. The thresholds were measured on an H100; bench/NOTES.md has the runs.</summary>
internal static class Bf16Plan
{
    /// <summary>
    /// From so many pairs per expert on the kernels for many tokens are faster: routing is uneven, and the busiest experts outgrow the
    /// narrow tiles of the others long before the average does.
    /// </summary>
    private const int ManyPairsPerExpert = 8;

    /// <summary>Whether the kernels for many tokens per expert run.</summary>
    public static bool IsPrefill(int tokens, MoeLayerShape shape) => (long)tokens * shape.TopK >= (long)ManyPairsPerExpert * shape.ExpertCount;

    /// <summary>Which of <see cref="Bf16DecodeVariant.For"/> runs.</summary>
    public static int DecodeIndex(int tokens, MoeLayerShape shape)
    {
        double pairsPerExpert = (double)tokens * shape.TopK / shape.ExpertCount;
        if (tokens <= 8 || pairsPerExpert <= 0.5)
        {
            return 0;
        }

        // With few experts the busiest is less far from the average, so narrow tiles hold it longer.
        return pairsPerExpert <= (shape.ExpertCount <= 64 ? 8 : 1) ? 1 : 2;
    }

    /// <summary>Parts of the second product's inner dimension: with few tokens there are too few tiles for all multiprocessors.</summary>
    public static int Splits(int pairs) => pairs <= 4 ? 5 : pairs <= 8 ? 4 : 1;

    /// <summary>The most that splits × pairs can be, up to so many pairs.</summary>
    public static long MaxPartialRows(long maxPairs) => Math.Max(maxPairs, Math.Max(5 * Math.Min(maxPairs, 4), 4 * Math.Min(maxPairs, 8)));
}
