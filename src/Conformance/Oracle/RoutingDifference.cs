namespace Moe.Plugins.Conformance;

/// <summary>How a backend's choice of experts differs from the oracle's.</summary>
/// <param name="TokenCount">Tokens whose experts are not the same set.</param>
/// <param name="LargestGap">
/// How far apart the float64 ranks (logits, or scores with the selection bias) are of an expert that was left out and the one that was taken instead, at most, relative to the
/// token's largest rank or 1. Where it is as small as float32 rounding, the ranks tie and both choices are right.
/// </param>
public readonly record struct RoutingDifference(int TokenCount, double LargestGap)
{
    /// <summary>
    /// Largest gap of a tie: a few thousand products summed in float32 are good to about 1e-5 of the largest logit. A wrong router is
    /// off by far more.
    /// </summary>
    public const double TieGap = 1e-4;

    /// <summary>Whether all differences, if there are any, are ties.</summary>
    public bool IsTie => LargestGap <= TieGap;

    /// <summary>Compares the choice of a backend with the oracle's own.</summary>
    /// <param name="ids">[tokens, top-k] int32 in host memory, all tokens of the batch.</param>
    /// <param name="reference">What the oracle computed with the layer's own router.</param>
    public static RoutingDifference Measure(MoeTensorView ids, OracleResult reference)
    {
        ArgumentNullException.ThrowIfNull(reference);
        if (ids.ElementType != MoeElementType.Int32 || ids.Device.Kind != MoeDeviceKind.Cpu || ids.Columns != reference.Shape.TopK)
        {
            throw new ArgumentException($"{ids.ElementType} [{ids.Rows}, {ids.Columns}] are no ids of this layer in host memory.", nameof(ids));
        }

        int different = 0;
        double largestGap = 0;
        for (int i = 0; i < reference.Tokens.Count; i++)
        {
            ReadOnlySpan<int> chosen = Row(ids, reference.Tokens[i]);
            double gap = Gap(chosen, reference.Routing.Ids(i).Span, reference.Routing.Ranks(i).Span);
            different += gap > 0 ? 1 : 0;
            largestGap = Math.Max(largestGap, gap);
        }

        return new RoutingDifference(different, largestGap);
    }

    private static unsafe ReadOnlySpan<int> Row(MoeTensorView ids, int row) => new((void*)ids.RowAddress(row), ids.Columns);

    /// <summary>0 for the same set; +∞ for ids that are none, or one of them twice.</summary>
    private static double Gap(ReadOnlySpan<int> chosen, ReadOnlySpan<int> expected, ReadOnlySpan<double> ranks)
    {
        double worstTaken = double.PositiveInfinity;
        for (int k = 0; k < chosen.Length; k++)
        {
            if (chosen[k] < 0 || chosen[k] >= ranks.Length || chosen[..k].Contains(chosen[k]))
            {
                return double.PositiveInfinity;
            }

            if (!expected.Contains(chosen[k]))
            {
                // What has no rank, a NaN or an expert of a group that was dropped, comes after every number.
                worstTaken = Math.Min(worstTaken, double.IsNaN(ranks[chosen[k]]) ? double.NegativeInfinity : ranks[chosen[k]]);
            }
        }

        double bestLeftOut = double.NegativeInfinity;
        foreach (int id in expected)
        {
            bestLeftOut = chosen.Contains(id) || double.IsNaN(ranks[id]) ? bestLeftOut : Math.Max(bestLeftOut, ranks[id]);
        }

        // Exactly equal logits are a difference too: the lowest id wins.
        return double.IsPositiveInfinity(worstTaken)
            ? 0
            : Math.Max(double.Epsilon, (bestLeftOut - worstTaken) / Math.Max(1, Math.Abs(ranks[expected[0]])));
    }
}
