namespace Moe.Plugins.Cpu;

/// <summary>Turns a token's logits into expert ids and weights.</summary>
internal static unsafe class ExpertChoice
{
    /// <summary>Chooses the top-k experts of one token.</summary>
    public static void Choose(double* logits, MoeLayerShape shape, int* ids, float* weights)
    {
        int experts = shape.ExpertCount;
        double* chosen = stackalloc double[shape.TopK];
        double chosenTotal = 0;
        for (int k = 0; k < shape.TopK; k++)
        {
            // Differences to the largest, which is the first choice: a NaN among those that are not chosen must not spoil them.
            ids[k] = Best(logits, experts, ids, k);
            chosen[k] = Math.Exp(logits[ids[k]] - logits[ids[0]]);
            chosenTotal += chosen[k];
        }

        double divisor = shape.RouterScoring switch
        {
            MoeRouterScoring.SoftmaxThenTopK => Total(logits, experts, logits[ids[0]]),
            MoeRouterScoring.SoftmaxThenTopKRenormalized when double.IsNaN(Total(logits, experts, logits[ids[0]])) => double.NaN,

            // Softmax over the chosen, and softmax over all divided by the chosen's share, are one number.
            _ => chosenTotal,
        };
        for (int k = 0; k < shape.TopK; k++)
        {
            weights[k] = (float)(chosen[k] / divisor);
        }
    }

    private static double Total(double* logits, int experts, double largest)
    {
        double total = 0;
        for (int expert = 0; expert < experts; expert++)
        {
            total += Math.Exp(logits[expert] - largest);
        }

        return total;
    }

    /// <summary>The largest logit that is not chosen yet; of equals the lowest id. NaN comes last, so that ids are always distinct.</summary>
    private static int Best(double* logits, int experts, int* ids, int chosen)
    {
        int best = -1;
        for (int expert = 0; expert < experts; expert++)
        {
            if (new ReadOnlySpan<int>(ids, chosen).Contains(expert))
            {
                continue;
            }

            if (best < 0 || logits[expert] > logits[best] || (double.IsNaN(logits[best]) && !double.IsNaN(logits[expert])))
            {
                best = expert;
            }
        }

        return best;
    }
}
