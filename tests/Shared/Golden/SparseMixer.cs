using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.Tests;

/// <summary>
/// Phi-3.5-MoE's router as it runs in inference (transformers, <c>models/phimoe/modeling_phimoe.py</c>): the best expert, and the best of the
/// others; the weight of each is its softmax over those that come within a margin of it.
/// </summary>
internal sealed class SparseMixer : IDisposable
{
    private const double Margin = 2 * 0.01;

    private readonly MoeBuffer _ids;
    private readonly MoeBuffer _weights;

    public SparseMixer(FamilyGolden golden)
    {
        MoeTensorView input = golden.Input;
        using MoeBuffer gate = golden.Checkpoint.ReadTensor($"{golden.Layer.Name}.gate.weight");
        float[] weight = gate.ToSingles();
        using MoeBuffer copy = MoeBuffer.OnHost(MoeStoredTensor.FromView(input));
        float[] rows = copy.ToSingles();
        int[] ids = new int[2 * input.Rows];
        float[] weights = new float[2 * input.Rows];
        for (int token = 0; token < input.Rows; token++)
        {
            double[] logits =
            [
                .. Enumerable.Range(0, weight.Length / input.Columns).Select(expert =>
                    Enumerable.Range(0, input.Columns).Sum(i => (double)rows[(token * input.Columns) + i] * weight[(expert * input.Columns) + i])),
            ];
            var left = new HashSet<int>(Enumerable.Range(0, logits.Length));
            for (int k = 0; k < 2; k++)
            {
                int best = left.MaxBy(expert => logits[expert]);
                double top = logits[best];
                double sum = left
                    .Where(expert => (top - logits[expert]) / Math.Max(Math.Abs(logits[expert]), top) <= Margin)
                    .Sum(expert => Math.Exp(logits[expert] - top));
                ids[(2 * token) + k] = best;
                weights[(2 * token) + k] = (float)(1 / sum);
                left.Remove(best);
            }
        }

        _ids = MoeBuffer.OnHost(MoeElementType.Int32, input.Rows, 2);
        _ids.CopyFrom(ids);
        _weights = MoeBuffer.OnHost(MoeElementType.Float32, input.Rows, 2);
        _weights.CopyFrom(weights);
    }

    public MoeTensorView Ids => _ids.View;

    public MoeTensorView Weights => _weights.View;

    public void Dispose()
    {
        _ids.Dispose();
        _weights.Dispose();
    }
}
