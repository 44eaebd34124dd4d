namespace Moe.Plugins.Conformance;

/// <summary>Router: logits, the choice, and the weights of the chosen, as <see cref="MoeRouter"/> says, in float64.</summary>
internal static class OracleRouter
{
    public static OracleRouting Route(MoeLayerShape shape, MoeWeightSource source, double[] inputs, int[] tokens, OracleOptions options)
    {
        int topK = shape.TopK;
        int[] ids = new int[tokens.Length * topK];
        double[] weights = new double[ids.Length];
        double[] logits = source.RouterWeight is null ? [] : Logits(shape, source, inputs, tokens.Length);
        double[] ranks = new double[logits.Length];
        for (int i = 0; i < tokens.Length; i++)
        {
            Span<int> chosen = ids.AsSpan(i * topK, topK);
            Span<double> weighed = weights.AsSpan(i * topK, topK);
            Range own = logits.Length == 0 ? ..0 : (i * shape.ExpertCount)..((i + 1) * shape.ExpertCount);
            ReadOnlySpan<double> tokenLogits = logits.AsSpan(own);
            double[] scores = [.. tokenLogits];
            if (logits.Length > 0)
            {
                Score(shape.Router.Score, scores);
                Rank(shape, source, tokenLogits, scores, ranks.AsSpan(own));
            }

            if (!options.TopKIds.IsEmpty)
            {
                ReadIds(shape, options.TopKIds, tokens[i], chosen);
            }
            else if (shape.Router.Choice == MoeRouterChoice.TokenTable)
            {
                LookUp(shape, source.TokenTable!, options.TokenIds, tokens[i], chosen);
            }
            else
            {
                Choose(ranks.AsSpan(own), chosen);
            }

            if (options.TopKWeights.IsEmpty)
            {
                Weigh(shape.Router, tokenLogits, scores, chosen, weighed);
            }
            else
            {
                FloatReader.ReadRow(options.TopKWeights, tokens[i], 0, weighed);
            }
        }

        return new OracleRouting(shape, ids, weights, logits, ranks);
    }

    private static double[] Logits(MoeLayerShape shape, MoeWeightSource source, double[] inputs, int tokens)
    {
        int hidden = shape.HiddenSize;
        double[] logits = new double[tokens * shape.ExpertCount];
        double[] row = new double[hidden];
        for (int expert = 0; expert < shape.ExpertCount; expert++)
        {
            FloatReader.ReadRow(source.RouterWeight!, expert, 0, row);
            double bias = source.RouterBias is null ? 0 : FloatReader.Read(source.RouterBias, 0, expert);
            for (int i = 0; i < tokens; i++)
            {
                logits[(i * shape.ExpertCount) + expert] = bias + DoubleDot.Of(row, inputs.AsSpan(i * hidden, hidden));
            }
        }

        return logits;
    }

    private static void Score(MoeRouterScore score, Span<double> values)
    {
        switch (score)
        {
            case MoeRouterScore.Logit:
                break;
            case MoeRouterScore.Softmax:
                Softmax(values);
                break;
            case MoeRouterScore.Sigmoid:
                foreach (ref double value in values)
                {
                    value = 1 / (1 + Math.Exp(-value));
                }

                break;
            case MoeRouterScore.SqrtSoftplus:
                foreach (ref double value in values)
                {
                    // ln(1 + e^x) = max(x, 0) + ln(1 + e^−|x|), which cannot overflow.
                    value = Math.Sqrt(Math.Max(value, 0) + Math.Log(1 + Math.Exp(-Math.Abs(value))));
                }

                break;
            default:
                throw new ArgumentException($"Router score {score} is not one that the oracle knows.");
        }
    }

    private static void Softmax(Span<double> values)
    {
        double max = double.NegativeInfinity;
        foreach (double value in values)
        {
            max = value > max ? value : max;
        }

        double sum = 0;
        foreach (ref double value in values)
        {
            value = Math.Exp(value - max);
            sum += value;
        }

        foreach (ref double value in values)
        {
            value /= sum;
        }
    }

    /// <summary>What the experts are chosen by: −∞ in groups that are dropped.</summary>
    private static void Rank(
        MoeLayerShape shape, MoeWeightSource source, ReadOnlySpan<double> logits, ReadOnlySpan<double> scores, Span<double> ranks)
    {
        MoeRouter router = shape.Router;
        if (source.SelectionBias is null && router.GroupCount == 1)
        {
            // Every score rises with its logit, and in float64 large scores may coincide where logits do not.
            logits.CopyTo(ranks);
            return;
        }

        for (int expert = 0; expert < ranks.Length; expert++)
        {
            ranks[expert] = scores[expert] + (source.SelectionBias is null ? 0 : FloatReader.Read(source.SelectionBias, 0, expert));
        }

        int size = ranks.Length / router.GroupCount;
        double[] groups = new double[router.GroupCount];
        for (int group = 0; group < groups.Length; group++)
        {
            double[] members = [.. ranks.Slice(group * size, size).ToArray().Select(rank => double.IsNaN(rank) ? double.NegativeInfinity : rank).OrderDescending()];
            groups[group] = router.GroupRule switch
            {
                MoeGroupRule.Max => members[0],
                MoeGroupRule.SumOfTopTwo => members[0] + (size > 1 ? members[1] : 0),
                _ => throw new ArgumentException($"Group rule {router.GroupRule} is not one that the oracle knows."),
            };
        }

        Span<int> kept = stackalloc int[router.TopGroups];
        Choose(groups, kept);
        for (int expert = 0; expert < ranks.Length; expert++)
        {
            if (!kept.Contains(expert / size))
            {
                ranks[expert] = Dropped;
            }
        }
    }

    /// <summary>The rank of an expert in a group that is dropped: a NaN with bits of its own, which comes after every other.</summary>
    private static readonly double Dropped = BitConverter.Int64BitsToDouble(0x7FF8_0000_0000_0D0D);

    private static bool IsDropped(double rank) => BitConverter.DoubleToInt64Bits(rank) == BitConverter.DoubleToInt64Bits(Dropped);

    /// <summary>The largest ranks in descending order; of equal ones the lowest id first, NaN after every number.</summary>
    private static void Choose(ReadOnlySpan<double> ranks, Span<int> chosen)
    {
        for (int k = 0; k < chosen.Length; k++)
        {
            int best = -1;
            for (int expert = 0; expert < ranks.Length; expert++)
            {
                if (!chosen[..k].Contains(expert) && (best < 0 || IsBetter(ranks[expert], ranks[best])))
                {
                    best = expert;
                }
            }

            chosen[k] = best;
        }
    }

    private static bool IsBetter(double rank, double than) => double.IsNaN(than)
        ? !double.IsNaN(rank) || (IsDropped(than) && !IsDropped(rank))
        : rank > than;

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

    private static unsafe void LookUp(MoeLayerShape shape, MoeStoredTensor table, MoeTensorView tokenIds, int token, Span<int> chosen)
    {
        int id = *(int*)tokenIds.RowAddress(token);
        if (id < 0 || id >= table.Rows)
        {
            throw new ArgumentException($"Token {token} has the id {id}; 0 to {table.Rows - 1} is expected.", nameof(tokenIds));
        }

        byte[] row = FloatReader.ReadBytes(table, id, 0);
        for (int k = 0; k < chosen.Length; k++)
        {
            long expert = table.ElementType == MoeElementType.Int64 ? BitConverter.ToInt64(row, 8 * k) : BitConverter.ToInt32(row, 4 * k);
            chosen[k] = expert >= 0 && expert < shape.ExpertCount
                ? (int)expert
                : throw new ArgumentException($"The table sends token id {id} to expert {expert}; 0 to {shape.ExpertCount - 1} is expected.", nameof(table));
        }
    }

    private static void Weigh(MoeRouter router, ReadOnlySpan<double> logits, ReadOnlySpan<double> scores, ReadOnlySpan<int> chosen, Span<double> weights)
    {
        for (int k = 0; k < chosen.Length; k++)
        {
            weights[k] = router.Weights == MoeRouterWeights.SoftmaxOfChosen ? logits[chosen[k]] : scores[chosen[k]];
        }

        switch (router.Weights)
        {
            case MoeRouterWeights.ScoreOfChosen:
                break;
            case MoeRouterWeights.SoftmaxOfChosen:
                Softmax(weights);
                break;
            default:
                throw new ArgumentException($"Router weights {router.Weights} are not ones that the oracle knows.");
        }

        double divisor = 1;
        if (router.Renormalize)
        {
            double sum = 0;
            foreach (double weight in weights)
            {
                sum += weight;
            }

            divisor = router.EpsilonIsFloor ? Math.Max(sum, router.Epsilon) : sum + router.Epsilon;
        }

        foreach (ref double weight in weights)
        {
            weight = weight / divisor * router.Scale;
        }
    }
}
