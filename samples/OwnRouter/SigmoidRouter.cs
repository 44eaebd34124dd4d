using Moe.Plugins;

/// <summary>
/// A router that no layer of this library has: scores are sigmoids of the logits, a bias only decides who is chosen, and the weights are the
/// chosen scores over their sum, as in DeepSeek-V3 (technical report, arXiv 2412.19437, §2.1.2).
/// </summary>
internal static unsafe class SigmoidRouter
{
    /// <summary>Chooses experts for BF16 tokens in host memory.</summary>
    /// <returns>[tokens, top-k] ids and weights.</returns>
    public static (int[] Ids, float[] Weights) Route(MoeLayerShape shape, MoeWeightSource source, MoeTensorView tokens)
    {
        float[] router = source.RouterWeight!.ToSingles();
        float[] bias = source.RouterBias?.ToSingles() ?? new float[shape.ExpertCount];
        int[] ids = new int[tokens.Rows * shape.TopK];
        float[] weights = new float[ids.Length];
        for (int token = 0; token < tokens.Rows; token++)
        {
            var scores = Enumerable.Range(0, shape.ExpertCount).Select(expert => (
                Id: expert,
                Score: 1 / (1 + MathF.Exp(-Dot(router.AsSpan(expert * shape.HiddenSize, shape.HiddenSize), tokens, token))),
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

    private static float Dot(ReadOnlySpan<float> weights, MoeTensorView tokens, int token)
    {
        float sum = 0;
        for (int i = 0; i < weights.Length; i++)
        {
            sum += weights[i] * Bf16(tokens, token, i);
        }

        return sum;
    }

    private static float Bf16(MoeTensorView view, int row, int column) =>
        BitConverter.UInt32BitsToSingle((uint)((ushort*)view.RowAddress(row))[column] << 16);
}
