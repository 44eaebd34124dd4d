namespace Moe.Plugins.Conformance;

/// <summary>The experts that each token goes to, with their weights and the logits behind them, in float64.</summary>
public sealed class OracleRouting
{
    private readonly int _topK;
    private readonly int _experts;
    private readonly int[] _ids;
    private readonly double[] _weights;
    private readonly double[] _logits;
    private readonly double[] _ranks;

    internal OracleRouting(MoeLayerShape shape, int[] ids, double[] weights, double[] logits, double[] ranks)
    {
        _topK = shape.TopK;
        _experts = shape.ExpertCount;
        _ids = ids;
        _weights = weights;
        _logits = logits;
        _ranks = ranks;
    }

    /// <summary>The experts of the <paramref name="index"/>-th token: top-k ids, the best first.</summary>
    public ReadOnlyMemory<int> Ids(int index) => Row(_ids, index, _topK);

    /// <summary>The weights of those experts.</summary>
    public ReadOnlyMemory<double> Weights(int index) => Row(_weights, index, _topK);

    /// <summary>The router's logits of all experts; empty where the layer has no router.</summary>
    public ReadOnlyMemory<double> Logits(int index) => Row(_logits, index, _experts);

    /// <summary>
    /// What all experts were chosen by, the larger the better: logits, or scores with the selection bias, NaN in groups that were
    /// dropped; empty where the layer has no router.
    /// </summary>
    public ReadOnlyMemory<double> Ranks(int index) => Row(_ranks, index, _experts);

    // Where the caller routes there are neither logits nor ranks.
    private ReadOnlyMemory<T> Row<T>(T[] values, int index, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, _ids.Length / _topK);
        return values.Length == 0 ? default : values.AsMemory(index * columns, columns);
    }
}
