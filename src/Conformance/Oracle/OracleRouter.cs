namespace Moe.Plugins.Conformance;

/// <summary>Router: logits, the choice, and the weights of the chosen.</summary>
internal static class OracleRouter
{
    public static OracleRouting Route(MoeLayerShape shape, MoeWeightSource source, double[] inputs, int[] tokens, OracleOptions options)
    {
        int topK = shape.TopK;
        int[] ids = new int[tokens.Length * topK];
        double[] weights = new double[ids.Length];
        double[] logits = source.RouterWeight.IsEmpty ? [] : Logits(shape, source, inputs, tokens.Length);
        for (int i = 0; i < tokens.Length; i++)
        {
            Span<int> chosen = ids.AsSpan(i * topK, topK);
            Span<double> weighed = weights.AsSpan(i * topK, topK);
            ReadOnlySpan<double> own = logits.Length == 0 ? default : logits.AsSpan(i * shape.ExpertCount, shape.ExpertCount);
            if (options.TopKIds.IsEmpty)
            {
                Choose(own, chosen);
            }
            else
            {
                ReadIds(shape, options.TopKIds, tokens[i], chosen);
            }

            if (options.TopKWeights.IsEmpty)
            {
                Weigh(shape.RouterScoring, own, chosen, weighed);
            }
            else
            {
                FloatReader.ReadRow(options.TopKWeights, tokens[i], 0, weighed);
            }
        }

        return new OracleRouting(shape, ids, weights, logits);
    }

    private static double[] Logits(MoeLayerShape shape, MoeWeightSource source, double[] inputs, int tokens)
    {
        int hidden = shape.HiddenSize;
        double[] logits = new double[tokens * shape.ExpertCount];
        double[] row = new double[hidden];
        for (int expert = 0; expert < shape.ExpertCount; expert++)
        {
            FloatReader.ReadRow(source.RouterWeight, expert, 0, row);
            double bias = shape.HasRouterBias ? FloatReader.Read(source.RouterBias, 0, expert) : 0;
            for (int i = 0; i < tokens; i++)
            {
                logits[(i * shape.ExpertCount) + expert] = bias + DoubleDot.Of(row, inputs.AsSpan(i * hidden, hidden));
            }
        }

        return logits;
    }

    /// <summary>The largest logits in descending order; of equal ones the lowest id first, NaN after every number.</summary>
    private static void Choose(ReadOnlySpan<double> logits, Span<int> chosen)
    {
        for (int k = 0; k < chosen.Length; k++)
        {
            int best = -1;
            for (int expert = 0; expert < logits.Length; expert++)
            {
                bool isFree = !chosen[..k].Contains(expert);
                if (isFree && (best < 0 || logits[expert] > logits[best] || (double.IsNaN(logits[best]) && !double.IsNaN(logits[expert]))))
                {
                    best = expert;
                }
            }

            chosen[k] = best;
        }
    }

    private static unsafe void ReadIds(MoeLayerShape shape, MoeTensorView ids, int token, Span<int> chosen)
    {
        new ReadOnlySpan<int>((void*)ids.RowAddress(token), chosen.Length).CopyTo(chosen);
        foreach (int id in chosen)
        {
            if (id < 0 || id >= shape.ExpertCount)
            {
                throw new ArgumentException($"Token {token} is sent to expert {id}; 0 to {shape.ExpertCount - 1} is expected.", nameof(ids));
            }
        }
    }

    /// <summary>Softmax, over the chosen logits or over all (<see cref="MoeRouterScoring"/>), with the largest subtracted first.</summary>
    private static void Weigh(MoeRouterScoring scoring, ReadOnlySpan<double> logits, ReadOnlySpan<int> chosen, Span<double> weights)
    {
        double max = double.NegativeInfinity;
        foreach (int id in chosen)
        {
            max = Math.Max(max, logits[id]);
        }

        double chosenSum = 0;
        for (int k = 0; k < chosen.Length; k++)
        {
            weights[k] = Math.Exp(logits[chosen[k]] - max);
            chosenSum += weights[k];
        }

        double allSum = 0;
        foreach (double logit in logits)
        {
            allSum += Math.Exp(logit - max);
        }

        for (int k = 0; k < chosen.Length; k++)
        {
            weights[k] = scoring switch
            {
                MoeRouterScoring.SoftmaxThenTopK => weights[k] / allSum,
                MoeRouterScoring.SoftmaxThenTopKRenormalized => weights[k] / allSum / (chosenSum / allSum),
                _ => weights[k] / chosenSum,
            };
        }
    }
}
