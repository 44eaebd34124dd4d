namespace Moe.Plugins.Cpu;

/// <summary>Turns a token's logits into expert ids and weights.</summary>
internal static unsafe class ExpertChoice
{
    /// <summary>Chooses the top-k experts of one token.</summary>
    public static void Choose(double* logits, MoeLayerShape shape, int* ids, float* weights)
    {
        int experts = shape.ExpertCount;
        double* chosen = stackalloc double[shape.TopK];
        double maximum = Maximum(logits, experts);
        double total = 0;
        for (int expert = 0; expert < experts; expert++)
        {
            total += Math.Exp(logits[expert] - maximum);
        }

        for (int k = 0; k < shape.TopK; k++)
        {
            int best = Best(logits, experts, ids, k);
            ids[k] = best;
            chosen[k] = Math.Exp(logits[best] - maximum);
        }

        if (shape.RouterScoring != MoeRouterScoring.SoftmaxThenTopK)
        {
            // Softmax over the chosen, and softmax over all divided by the chosen's share, are one number.
            total = 0;
            for (int k = 0; k < shape.TopK; k++)
            {
                total += chosen[k];
            }
        }

        for (int k = 0; k < shape.TopK; k++)
        {
            weights[k] = (float)(chosen[k] / total);
        }
    }

    private static double Maximum(double* logits, int experts)
    {
        double maximum = double.NegativeInfinity;
        for (int expert = 0; expert < experts; expert++)
        {
            maximum = Math.Max(maximum, logits[expert]);
        }

        return maximum;
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
