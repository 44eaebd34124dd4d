using Moe.Plugins.Cpu;

namespace Moe.Plugins.GptOss;

/// <summary>What a forward of up to so many tokens needs, made once.</summary>
internal sealed unsafe class ForwardBuffers : IDisposable
{
    private readonly GptOssConfig _config;
    private readonly NativeBuffer _stream;
    private readonly NativeBuffer _projected;
    private readonly NativeBuffer _attention;
    private readonly int _projectedWidth;
    private readonly int _attentionWidth;
    private readonly int[] _partsLeft;
    private readonly int _stateWidth;
    private NativeBuffer _states;
    private int _parts;

    public ForwardBuffers(GptOssConfig config, ModelWeights weights, MoeElementType activationType, int maxTokens, int blockRows)
    {
        _config = config;
        LayerWeights layer = weights.Layers[0];
        _projectedWidth = layer.QueryKeyValue.Width;
        _attentionWidth = layer.Output.Width;
        _stream = new NativeBuffer((long)maxTokens * config.HiddenSize * sizeof(float));
        _projected = new NativeBuffer((long)maxTokens * _projectedWidth * sizeof(float));
        _attention = new NativeBuffer((long)maxTokens * _attentionWidth * sizeof(float));
        _stateWidth = CacheRow.Width(config.HeadSize);
        _partsLeft = new int[maxTokens * config.KeyValueHeadCount];
        _states = new NativeBuffer(StateBytes(_partsLeft.Length));
        Hidden = new RowBlocks(maxTokens, config.HiddenSize, blockRows);
        Heads = new RowBlocks(maxTokens, config.HeadCount * config.HeadSize, blockRows);
        ExpertInput = MoeBuffer.OnHost(activationType, maxTokens, config.HiddenSize);
        ExpertOutput = MoeBuffer.OnHost(activationType, maxTokens, config.HiddenSize);
    }

    /// <summary>Normed rows, as the products read them.</summary>
    public RowBlocks Hidden { get; }

    /// <summary>The attention's results, as the products read them.</summary>
    public RowBlocks Heads { get; }

    /// <summary>[tokens, hidden] of the activations' type.</summary>
    public MoeBuffer ExpertInput { get; }

    /// <summary>[tokens, hidden] of the activations' type.</summary>
    public MoeBuffer ExpertOutput { get; }

    /// <summary>[tokens][queries, keys, values].</summary>
    public float* Projected => _projected.Pointer<float>();

    /// <summary>[tokens][hidden], what attention adds to the stream.</summary>
    public float* AttentionOutput => _attention.Pointer<float>();

    /// <summary>A token's residual stream.</summary>
    public Span<float> Stream(int token) => new(_stream.Pointer<float>() + ((long)token * _config.HiddenSize), _config.HiddenSize);

    /// <summary>Some of a token's queries, keys and values.</summary>
    public Span<float> ProjectedPart(int token, int offset, int count) => new(Projected + ((long)token * _projectedWidth) + offset, count);

    /// <summary>Prepares attention in parts.</summary>
    /// <param name="heads">Key-value heads of all tokens.</param>
    /// <param name="parts">Parts of each.</param>
    public void SetParts(int heads, int parts)
    {
        _parts = parts;
        if (_states.ByteCount < StateBytes(heads * parts))
        {
            _states.Dispose();
            _states = new NativeBuffer(StateBytes(heads * parts));
        }

        _partsLeft.AsSpan(0, heads).Fill(parts);
    }

    /// <summary>What attention sums for a token's key-value head in one part.</summary>
    public AttentionState Attention(int token, int keyValueHead, int part)
    {
        long index = ((((long)token * _config.KeyValueHeadCount) + keyValueHead) * _parts) + part;
        return new AttentionState(
            _states.Pointer<float>() + (index * AttentionState.Size(_config.GroupSize, _stateWidth)), _config.GroupSize, _stateWidth);
    }

    /// <summary>How many parts of a token's key-value head are not done.</summary>
    public ref int PartsLeft(int token, int keyValueHead) => ref _partsLeft[(token * _config.KeyValueHeadCount) + keyValueHead];

    public ReadOnlySpan<float> AttentionRow(int token) => new(AttentionOutput + ((long)token * _attentionWidth), _config.HiddenSize);

    public void Dispose()
    {
        _stream.Dispose();
        _projected.Dispose();
        _attention.Dispose();
        _states.Dispose();
        Hidden.Dispose();
        Heads.Dispose();
        ExpertInput.Dispose();
        ExpertOutput.Dispose();
    }

    private long StateBytes(int count) => count * AttentionState.Size(_config.GroupSize, _stateWidth) * sizeof(float);
}
