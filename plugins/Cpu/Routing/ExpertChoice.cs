namespace Moe.Plugins.Cpu;

/// <summary>Turns a token's logits into experts and weights, as <see cref="MoeRouter"/> says, in float64. Allocates nothing.</summary>
internal static unsafe class ExpertChoice
{
    /// <summary>Why a router cannot run; null where it can.</summary>
    public static string? Refusal(MoeRouter router)
    {
        bool isKnown = router.Score is MoeRouterScore.Logit or MoeRouterScore.Softmax or MoeRouterScore.Sigmoid or MoeRouterScore.SqrtSoftplus
            && router.Weights is MoeRouterWeights.ScoreOfChosen or MoeRouterWeights.SoftmaxOfChosen
            && router.GroupRule is MoeGroupRule.Max or MoeGroupRule.SumOfTopTwo
            && router.Choice is MoeRouterChoice.TopK or MoeRouterChoice.TokenTable
            && router.WeightOn is MoeWeightOn.Output or MoeWeightOn.Input
            && router.LogitPrecision is MoeElementType.BFloat16 or MoeElementType.Float32;
        return isKnown ? null : $"Router {router} is not one that this backend knows.";
    }

    /// <summary>Chooses and weighs the experts of one token.</summary>
    /// <param name="router">The program.</param>
    /// <param name="logits">Logits of all experts, biases included.</param>
    /// <param name="experts">Experts.</param>
    /// <param name="selectionBias">What the scores get before experts are chosen; empty for nothing.</param>
    /// <param name="scratch">Room for twice as many numbers as there are experts.</param>
    /// <param name="ids">The experts: written, or given where a table has named them.</param>
    /// <param name="weights">Their weights.</param>
    public static void Choose(
        MoeRouter router, double* logits, int experts, ReadOnlySpan<float> selectionBias, double* scratch, Span<int> ids, Span<float> weights)
    {
        var given = new ReadOnlySpan<double>(logits, experts);
        var scores = new Span<double>(scratch, experts);
        given.CopyTo(scores);
        Score(router.Score, scores);
        if (router.Choice == MoeRouterChoice.TopK)
        {
            if (selectionBias.IsEmpty && router.GroupCount == 1)
            {
                // Every score rises with its logit, and large scores may be equal where their logits are not.
                Best(given, ids);
            }
            else
            {
                var ranks = new Span<double>(scratch + experts, experts);
                scores.CopyTo(ranks);
                for (int expert = 0; expert < selectionBias.Length; expert++)
                {
                    ranks[expert] += selectionBias[expert];
                }

                BestOfGroups(router, ranks, ids);
            }
        }

        Weigh(router, given, scores, ids, weights);
    }

    private static void Score(MoeRouterScore score, Span<double> values)
    {
        switch (score)
        {
            case MoeRouterScore.Softmax:
                Softmax(values);
                break;
            case MoeRouterScore.Sigmoid:
                for (int i = 0; i < values.Length; i++)
                {
                    values[i] = 1 / (1 + Math.Exp(-values[i]));
                }

                break;
            case MoeRouterScore.SqrtSoftplus:
                for (int i = 0; i < values.Length; i++)
                {
                    // Beyond 40 ln(1 + e^x) is x in float64.
                    values[i] = Math.Sqrt(values[i] > 40 ? values[i] : Math.Log(1 + Math.Exp(values[i])));
                }

                break;
            default:
                break;
        }
    }

    private static void Softmax(Span<double> values)
    {
        double largest = double.NegativeInfinity;
        for (int i = 0; i < values.Length; i++)
        {
            largest = values[i] > largest ? values[i] : largest;
        }

        double total = 0;
        for (int i = 0; i < values.Length; i++)
        {
            total += values[i] = Math.Exp(values[i] - largest);
        }

        for (int i = 0; i < values.Length; i++)
        {
            values[i] /= total;
        }
    }

    /// <summary>The largest in descending order; of equals the lowest id. NaN comes last, so that ids are always distinct.</summary>
    private static void Best(ReadOnlySpan<double> ranks, Span<int> ids)
    {
        for (int k = 0; k < ids.Length; k++)
        {
            int best = -1;
            for (int i = 0; i < ranks.Length; i++)
            {
                bool isBetter = best < 0 || ranks[i] > ranks[best] || (double.IsNaN(ranks[best]) && !double.IsNaN(ranks[i]));
                if (isBetter && !ids[..k].Contains(i))
                {
                    best = i;
                }
            }

            ids[k] = best;
        }
    }

    private static void BestOfGroups(MoeRouter router, Span<double> ranks, Span<int> ids)
    {
        int size = ranks.Length / router.GroupCount;
        Span<double> groups = router.GroupCount <= 256 ? stackalloc double[router.GroupCount] : new double[router.GroupCount];
        for (int group = 0; group < groups.Length; group++)
        {
            groups[group] = Worth(router.GroupRule, ranks.Slice(group * size, size));
        }

        Span<int> kept = router.TopGroups <= 256 ? stackalloc int[router.TopGroups] : new int[router.TopGroups];
        Best(groups, kept);
        kept.Sort();

        // The kept groups' ranks move together, in the order of their ids, so that equal ones still go to the lowest.
        for (int i = 0; i < kept.Length; i++)
        {
            ranks.Slice(kept[i] * size, size).CopyTo(ranks[(i * size)..]);
        }

        Best(ranks[..(kept.Length * size)], ids);
        foreach (ref int id in ids)
        {
            id = (kept[id / size] * size) + (id % size);
        }
    }

    private static double Worth(MoeGroupRule rule, ReadOnlySpan<double> ranks)
    {
        double first = double.NegativeInfinity, second = double.NegativeInfinity;
        foreach (double rank in ranks)
        {
            if (rank > first)
            {
                (first, second) = (rank, first);
            }
            else if (rank > second)
            {
                second = rank;
            }
        }

        return rule == MoeGroupRule.Max ? first : first + second;
    }

    private static void Weigh(MoeRouter router, ReadOnlySpan<double> logits, ReadOnlySpan<double> scores, ReadOnlySpan<int> ids, Span<float> weights)
    {
        Span<double> exact = ids.Length <= 256 ? stackalloc double[ids.Length] : new double[ids.Length];
        bool isSoftmax = router.Weights == MoeRouterWeights.SoftmaxOfChosen;
        for (int k = 0; k < ids.Length; k++)
        {
            exact[k] = isSoftmax ? logits[ids[k]] : scores[ids[k]];
        }

        if (isSoftmax)
        {
            Softmax(exact);
        }

        double sum = 0;
        foreach (double weight in exact)
        {
            sum += weight;
        }

        double divisor = router.Divisor(sum);
        for (int k = 0; k < ids.Length; k++)
        {
            weights[k] = (float)(exact[k] / divisor * router.Scale);
        }
    }
}
