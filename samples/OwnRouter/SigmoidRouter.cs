using Moe.Plugins;

/// <summary>
/// A router of the caller's own: scores are sigmoids of the logits, a bias only decides who is chosen, and the weights are the
/// chosen scores over their sum, as in DeepSeek-V3 (technical report, arXiv 2412.19437, §2.1.2).
/// </summary>
internal static class SigmoidRouter
{
    /// <summary>Chooses experts.</summary>
    /// <param name="shape">The layer.</param>
    /// <param name="source">Its weights, of which the router's are read.</param>
    /// <param name="tokens">[tokens, hidden].</param>
    /// <returns>[tokens, top-k] ids and weights.</returns>
    public static (int[] Ids, float[] Weights) Route(MoeLayerShape shape, MoeWeightSource source, float[] tokens)
    {
        float[] router = source.RouterWeight!.ToSingles();
        float[] bias = source.RouterBias?.ToSingles() ?? new float[shape.ExpertCount];
        int count = tokens.Length / shape.HiddenSize;
        int[] ids = new int[count * shape.TopK];
        float[] weights = new float[ids.Length];
        for (int token = 0; token < count; token++)
        {
            float[] x = tokens[(token * shape.HiddenSize)..((token + 1) * shape.HiddenSize)];
            var scores = Enumerable.Range(0, shape.ExpertCount).Select(expert => (
                Id: expert,
                Score: 1 / (1 + MathF.Exp(-Dot(router.AsSpan(expert * shape.HiddenSize, shape.HiddenSize), x))),
                Bias: bias[expert]));
            var chosen = scores.OrderByDescending(expert => expert.Score + expert.Bias).Take(shape.TopK).ToArray();
            float sum = chosen.Sum(expert => expert.Score);
            for (int k = 0; k < shape.TopK; k++)
            {
                ids[(token * shape.TopK) + k] = chosen[k].Id;
                weights[(token * shape.TopK) + k] = chosen[k].Score / sum;
            }
        }

        return (ids, weights);
    }

    private static float Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        float sum = 0;
        for (int i = 0; i < a.Length; i++)
        {
            sum += a[i] * b[i];
        }

        return sum;
    }
}
