namespace Moe.Plugins.Cpu;

/// <summary>The router's weights, biases and table, widened.</summary>
internal sealed unsafe class RouterWeights : IDisposable
{
    private readonly NativeBuffer _weights;
    private readonly int _hiddenSize;
    private readonly float[]? _bias;
    private readonly int[]? _table;
    private readonly int _topK;

    public RouterWeights(MoeWeightSource source, MoeLayerShape shape)
    {
        _hiddenSize = shape.HiddenSize;
        _topK = shape.TopK;
        _weights = new NativeBuffer((long)shape.ExpertCount * _hiddenSize * sizeof(float));
        source.RouterWeight!.ReadSingles(0, 0, shape.ExpertCount, (nint)_weights.Pointer<float>());
        _bias = source.RouterBias?.ToSingles();
        SelectionBias = source.SelectionBias?.ToSingles();
        _table = source.ReadTokenTable(shape);
    }

    /// <summary>What the scores get before experts are chosen; null for nothing.</summary>
    public float[]? SelectionBias { get; }

    /// <summary>Token ids that the table knows.</summary>
    public int VocabularySize => (_table?.Length ?? 0) / _topK;

    public long ByteCount => _weights.ByteCount + (sizeof(float) * ((_bias?.Length ?? 0) + (SelectionBias?.Length ?? 0) + (_table?.Length ?? 0L)));

    public float* Row(int expert) => _weights.Pointer<float>() + ((long)expert * _hiddenSize);

    public float Bias(int expert) => _bias is null ? 0 : _bias[expert];

    /// <summary>The experts of a token id.</summary>
    public ReadOnlySpan<int> Experts(int tokenId) => _table.AsSpan(tokenId * _topK, _topK);

    public void Dispose() => _weights.Dispose();
}
