using System.Numerics.Tensors;
using Moe.Plugins.Cpu;

namespace Moe.Plugins.GptOss;

/// <summary>
/// Runs batches of tokens through the layers: x += attention(norm(x)), x += experts(norm(x)) (transformers <c>models/gpt_oss/modeling_gpt_oss.py</c>).
/// All of it is float32; where the expert layers take BF16, what goes in and comes out is rounded.
/// </summary>
internal sealed unsafe class ModelForward : ICpuWork, IDisposable
{
    /// <summary>Pages of the cache that are one unit of attention where tokens are too few to keep all threads busy.</summary>
    private const int PartPages = 4;

    /// <summary>Key-value heads of all tokens from which on there is work for all threads without that.</summary>
    private const int WholeHeads = 64;

    private readonly GptOssConfig _config;
    private readonly ModelWeights _weights;
    private readonly IReadOnlyList<ExpertLayer> _experts;
    private readonly CpuTeam _team;
    private readonly PanelKernel _kernel = PanelKernels.For(MoeWeightFormat.BFloat16);
    private readonly RotaryPositions _rotary;
    private readonly ForwardBuffers _buffers;
    private readonly float[][] _scratch;
    private readonly int _keyOffset;
    private readonly int _valueOffset;
    private IReadOnlyList<BatchToken> _tokens = [];
    private int[] _logitTokens = [];
    private int _layer;
    private int _parts;
    private bool _isRotatedApart;
    private float* _logits;

    public ModelForward(GptOssConfig config, ModelWeights weights, IReadOnlyList<ExpertLayer> experts, GptOssOptions options, CpuTeam team)
    {
        _config = config;
        _weights = weights;
        _experts = experts;
        _team = team;
        _rotary = new RotaryPositions(config.Rotary, config.HeadSize, options.ChunkTokens);
        _buffers = new ForwardBuffers(config, weights, options.ActivationType, options.ChunkTokens, _kernel.MaxTokens);
        _scratch = [.. Enumerable.Range(0, team.ThreadCount).Select(_ => new float[config.HiddenSize])];
        _keyOffset = weights.Layers[0].QueryKeyValue.Offset(1);
        _valueOffset = weights.Layers[0].QueryKeyValue.Offset(2);
    }

    /// <summary>Shown the stream of each token: of the embedding, then after each layer, the last one after the final norm where logits are asked for.</summary>
    public Action<int, int, ReadOnlySpan<float>>? Observer { get; set; }

    /// <summary>Floats of a row of logits: the vocabulary, rounded up to whole panels.</summary>
    public int LogitWidth => _weights.Head.Width;

    /// <summary>Runs tokens, whose places in the caches are reserved.</summary>
    /// <param name="tokens">At most as many as a chunk has.</param>
    /// <param name="logits">[rows][<see cref="LogitWidth"/>], for those that ask for it.</param>
    /// <param name="cancellationToken">Ends it between two layers.</param>
    public void Run(IReadOnlyList<BatchToken> tokens, float* logits, CancellationToken cancellationToken)
    {
        _tokens = tokens;
        _logits = logits;
        _logitTokens = [.. Enumerable.Range(0, tokens.Count).Where(i => tokens[i].LogitRow >= 0)];
        _buffers.Hidden.Rows = _buffers.Heads.Rows = tokens.Count;
        Share(ForwardPhase.Embed, tokens.Count);
        Show(0);
        for (_layer = 0; _layer < _weights.Layers.Count; _layer++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            RunLayer();
        }

        Share(ForwardPhase.Residual, tokens.Count);
        _buffers.Hidden.Rows = _logitTokens.Length;
        Share(ForwardPhase.FinalNorm, _logitTokens.Length);
        if (_logitTokens.Length > 0)
        {
            Share(ForwardPhase.Head, _weights.Head.UnitsOfNodes);
        }
    }

    void ICpuWork.Do(int phase, int unit, int worker)
    {
        LayerWeights? layer = _layer < _weights.Layers.Count ? _weights.Layers[_layer] : null;
        switch ((ForwardPhase)phase)
        {
            case ForwardPhase.Embed:
                ReadEmbedding(_tokens[unit].Id, _buffers.Stream(unit));
                _rotary.Set(unit, _tokens[unit].Position);
                break;
            case ForwardPhase.Residual:
                AddExperts(unit);
                break;
            case ForwardPhase.AttentionNorm:
                if (_layer > 0)
                {
                    AddExperts(unit);
                }

                Norm(_buffers.Stream(unit), layer!.AttentionNorm, _scratch[worker]);
                _buffers.Hidden.Write(unit, 0, _scratch[worker].AsSpan(0, _config.HiddenSize));
                break;
            case ForwardPhase.QueryKeyValue:
                layer!.QueryKeyValue.Multiply(_kernel, unit, _buffers.Hidden, _buffers.Projected);
                break;
            case ForwardPhase.Rotate:
                for (int head = 0; head < _config.KeyValueHeadCount; head++)
                {
                    Rotate(unit, head);
                }

                break;
            case ForwardPhase.Attend:
                int place = unit / _parts;
                if (!_isRotatedApart)
                {
                    Rotate(place / _config.KeyValueHeadCount, place % _config.KeyValueHeadCount);
                }

                Attend(layer!, place / _config.KeyValueHeadCount, place % _config.KeyValueHeadCount, unit % _parts);
                break;
            case ForwardPhase.Output:
                layer!.Output.Multiply(_kernel, unit, _buffers.Heads, _buffers.AttentionOutput);
                break;
            case ForwardPhase.ExpertNorm:
                AddAttention(unit);
                Norm(_buffers.Stream(unit), layer!.ExpertNorm, _scratch[worker]);
                ActivationRow.Write(_buffers.ExpertInput.View, unit, _scratch[worker].AsSpan(0, _config.HiddenSize));
                break;
            case ForwardPhase.FinalNorm:
                int token = _logitTokens[unit];
                Norm(_buffers.Stream(token), _weights.FinalNorm, _scratch[worker]);
                _buffers.Hidden.Write(unit, 0, _scratch[worker].AsSpan(0, _config.HiddenSize));
                Observer?.Invoke(_weights.Layers.Count, token, _scratch[worker].AsSpan(0, _config.HiddenSize));
                break;
            default:
                _weights.Head.Multiply(_kernel, unit, _buffers.Hidden, _logits);
                break;
        }
    }

    public void Dispose() => _buffers.Dispose();

    private void RunLayer()
    {
        int tokens = _tokens.Count;
        LayerWeights layer = _weights.Layers[_layer];
        Share(ForwardPhase.AttentionNorm, tokens);
        if (_layer > 0)
        {
            Show(_layer);
        }

        Share(ForwardPhase.QueryKeyValue, layer.QueryKeyValue.UnitsOfNodes);
        int heads = tokens * _config.KeyValueHeadCount;
        _parts = heads < WholeHeads && !layer.IsSliding ? _tokens.Max(token => token.Position / CachePage.Positions / PartPages) + 1 : 1;
        _buffers.SetParts(heads, _parts);

        // A token that reads no other's key but from the cache, and in one part, rotates its own on the way.
        _isRotatedApart = _parts > 1 || HasNeighbours();
        if (_isRotatedApart)
        {
            Share(ForwardPhase.Rotate, tokens);
        }

        Share(ForwardPhase.Attend, heads * _parts);
        Share(ForwardPhase.Output, layer.Output.UnitsOfNodes);
        Share(ForwardPhase.ExpertNorm, tokens);
        _experts[_layer].Forward(_buffers.ExpertInput.View.FirstRows(tokens), _buffers.ExpertOutput.View.FirstRows(tokens));
    }

    /// <summary>Whether two tokens are of one text; such tokens are neighbours.</summary>
    private bool HasNeighbours()
    {
        for (int i = 1; i < _tokens.Count; i++)
        {
            if (_tokens[i].Sequence == _tokens[i - 1].Sequence)
            {
                return true;
            }
        }

        return false;
    }

    private static CachePages PagesOf(BatchToken token) => (CachePages)token.Sequence.Cache;

    private void Share(ForwardPhase phase, params ReadOnlySpan<int> unitsOfNodes) => _team.Run(this, (int)phase, unitsOfNodes);

    private void Show(int layer)
    {
        for (int token = 0; Observer is not null && token < _tokens.Count; token++)
        {
            Observer(layer, token, _buffers.Stream(token));
        }
    }

    private unsafe void ReadEmbedding(int token, Span<float> row)
    {
        fixed (float* target = row)
        {
            _weights.Embedding.ReadSingles(0, token, 1, (nint)target);
        }
    }

    private void AddExperts(int token)
    {
        Span<float> stream = _buffers.Stream(token);
        ActivationRow.Add(_buffers.ExpertOutput.View, token, stream);
    }

    private void AddAttention(int token)
    {
        Span<float> stream = _buffers.Stream(token);
        TensorPrimitives.Add(stream, _buffers.AttentionRow(token), stream);
    }

    /// <summary>x / √(mean of x² + ε) · weight.</summary>
    private void Norm(ReadOnlySpan<float> row, float[] weight, float[] target)
    {
        double mean = TensorPrimitives.SumOfSquares(row) / (double)row.Length;
        Span<float> normed = target.AsSpan(0, row.Length);
        TensorPrimitives.Multiply(row, (float)(1 / Math.Sqrt(mean + _config.NormEpsilon)), normed);
        TensorPrimitives.Multiply(normed, weight, normed);
    }

    /// <summary>Rotates the queries that share a key-value head, and keeps its key and value.</summary>
    private void Rotate(int token, int keyValueHead)
    {
        BatchToken place = _tokens[token];
        int size = _config.HeadSize;
        float scale = (float)(1 / Math.Sqrt(size));
        for (int head = keyValueHead * _config.GroupSize; head < (keyValueHead + 1) * _config.GroupSize; head++)
        {
            _rotary.Rotate(token, _buffers.ProjectedPart(token, head * size, size), scale);
        }

        CachePages pages = PagesOf(place);
        CachePage page = pages.Page(_layer, place.Position / CachePage.Positions);
        int position = place.Position % CachePage.Positions;
        Span<float> key = _buffers.ProjectedPart(token, _keyOffset + (keyValueHead * size), size);
        _rotary.Rotate(token, key);
        CacheRow.WriteKey(page.Keys(keyValueHead), position, key, pages.Type);
        CacheRow.WriteValue(page.Values(keyValueHead), position, _buffers.ProjectedPart(token, _valueOffset + (keyValueHead * size), size), pages.Type);
    }

    private void Attend(LayerWeights layer, int token, int keyValueHead, int part)
    {
        BatchToken place = _tokens[token];
        int group = _config.GroupSize;
        int seen = layer.IsSliding ? Math.Max(0, place.Position - _config.SlidingWindow + 1) : 0;

        // Parts begin at pages that depend on the position alone, so that nothing depends on the number of threads.
        int firstPage = (seen / CachePage.Positions) + (part * PartPages);
        int first = Math.Max(seen, firstPage * CachePage.Positions);
        int last = part == _parts - 1 ? place.Position : Math.Min(place.Position, ((firstPage + PartPages) * CachePage.Positions) - 1);
        AttentionState state = _buffers.Attention(token, keyValueHead, part);
        state.Begin(part == 0 ? layer.Sinks.AsSpan(keyValueHead * group, group) : default);
        if (first <= last)
        {
            fixed (float* queries = _buffers.ProjectedPart(token, keyValueHead * group * _config.HeadSize, group * _config.HeadSize))
            {
                new Attention(PagesOf(place), _layer, keyValueHead, group, _config.HeadSize).Run(queries, first, last, state);
            }
        }

        // The last to come puts the parts together, in their order.
        if (Interlocked.Decrement(ref _buffers.PartsLeft(token, keyValueHead)) == 0)
        {
            AttentionState whole = _buffers.Attention(token, keyValueHead, 0);
            for (int later = 1; later < _parts; later++)
            {
                whole.Add(_buffers.Attention(token, keyValueHead, later));
            }

            for (int head = 0; head < group; head++)
            {
                _buffers.Heads.Write(token, ((keyValueHead * group) + head) * _config.HeadSize, whole.Finish(head)[.._config.HeadSize]);
            }
        }
    }
}
