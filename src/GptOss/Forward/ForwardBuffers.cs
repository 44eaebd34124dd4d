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

    public ForwardBuffers(GptOssConfig config, ModelWeights weights, MoeElementType activationType, int maxTokens, int blockRows)
    {
        _config = config;
        LayerWeights layer = weights.Layers[0];
        _projectedWidth = layer.QueryKeyValue.Width;
        _attentionWidth = layer.Output.Width;
        _stream = new NativeBuffer((long)maxTokens * config.HiddenSize * sizeof(float));
        _projected = new NativeBuffer((long)maxTokens * _projectedWidth * sizeof(float));
        _attention = new NativeBuffer((long)maxTokens * _attentionWidth * sizeof(float));
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

    public long ByteCount =>
        _stream.ByteCount + _projected.ByteCount + _attention.ByteCount + Hidden.ByteCount + Heads.ByteCount + ExpertInput.ByteCount + ExpertOutput.ByteCount;

    /// <summary>A token's residual stream.</summary>
    public Span<float> Stream(int token) => new(_stream.Pointer<float>() + ((long)token * _config.HiddenSize), _config.HiddenSize);

    /// <summary>Some of a token's queries, keys and values.</summary>
    public Span<float> ProjectedPart(int token, int offset, int count) => new(Projected + ((long)token * _projectedWidth) + offset, count);

    public ReadOnlySpan<float> AttentionRow(int token) => new(AttentionOutput + ((long)token * _attentionWidth), _config.HiddenSize);

    public void Dispose()
    {
        _stream.Dispose();
        _projected.Dispose();
        _attention.Dispose();
        Hidden.Dispose();
        Heads.Dispose();
        ExpertInput.Dispose();
        ExpertOutput.Dispose();
    }
}
