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
        int[] ids = new int[tokens.Rows * shape.TopK];
        float[] weights = new float[ids.Length];
        for (int token = 0; token < tokens.Rows; token++)
        {
            var scores = Enumerable.Range(0, shape.ExpertCount).Select(expert => (
                Id: expert,
                Score: 1 / (1 + MathF.Exp(-Dot(source.RouterWeight, expert, tokens, token))),
                Bias: shape.HasRouterBias ? Bf16(source.RouterBias, 0, expert) : 0));
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

    private static float Dot(MoeTensorView weight, int expert, MoeTensorView tokens, int token)
    {
        float sum = 0;
        for (int i = 0; i < weight.Columns; i++)
        {
            sum += Bf16(weight, expert, i) * Bf16(tokens, token, i);
        }

        return sum;
    }

    private static float Bf16(MoeTensorView view, int row, int column) =>
        BitConverter.UInt32BitsToSingle((uint)((ushort*)view.RowAddress(row))[column] << 16);
}
