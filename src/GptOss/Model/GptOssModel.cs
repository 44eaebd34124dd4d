using Moe.Plugins.Checkpoints;
using Moe.Plugins.Cpu;

namespace Moe.Plugins.GptOss;

/// <summary>
/// A GPT-OSS model: attention, norms, embedding and head on the processor, the expert layers on the backends that a host chooses for them.
/// </summary>
/// <remarks>
/// Thread-safe: forwards take turns. Dispose it before the host, after its sequences. The checkpoint stays open: a layer whose plugin is
/// reloaded is made from it again.
/// </remarks>
public sealed class GptOssModel : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly ModelWeights _weights;
    private readonly ExpertLayer[] _experts;
    private readonly ModelForward _forward;
    private readonly ExpertRanks _ranks;
    private readonly CpuTeam _team;
    private readonly GptOssOptions _options;
    private readonly Lock _lock = new();
    private NativeBuffer? _logits;
    private bool _isDisposed;

    private GptOssModel(
        Checkpoint checkpoint, GptOssConfig config, GptOssOptions options, ModelWeights weights, ExpertLayer[] experts, ExpertRanks ranks, CpuTeam team)
    {
        _ranks = ranks;
        _checkpoint = checkpoint;
        _options = options;
        _weights = weights;
        _experts = experts;
        _team = team;
        Config = config;
        _forward = new ModelForward(config, weights, experts, options, team);
    }

    /// <summary>The model's sizes.</summary>
    public GptOssConfig Config { get; }

    /// <summary>The model's folder.</summary>
    public string Folder => _options.Model;

    /// <summary>The name of the model's folder.</summary>
    public string Name => Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(_options.Model)));

    /// <summary>The most positions of one text.</summary>
    public int MaxContext => _options.MaxContext;

    /// <summary>The most tokens that are computed at once.</summary>
    public int ChunkTokens => _options.ChunkTokens;

    /// <summary>Threads that compute all but the expert layers.</summary>
    public int ThreadCount => _team.ThreadCount;

    /// <summary>For each layer which backend runs its experts, and why.</summary>
    public IReadOnlyList<MoeSelectionReport> ExpertSelections => [.. _experts.Select(layer => layer.Selection)];

    /// <summary>Bytes of all weights as they lie in memory and on devices, without the embedding, which stays in the file.</summary>
    public long WeightByteCount => _weights.ByteCount + _experts.Sum(layer => layer.ByteCount);

    internal ModelForward Forwards => _forward;

    /// <summary>Loads a model.</summary>
    /// <param name="host">Chooses and makes the expert layers.</param>
    /// <param name="options">What to load, and how.</param>
    /// <param name="progress">Told the share that is loaded, 0 to 1.</param>
    /// <param name="cancellationToken">Ends a long load early.</param>
    /// <exception cref="MoeException">
    /// A file is missing or malformed, a tensor is missing, unknown or of another size than the configuration asks for, the model does not
    /// fit into memory, or no backend runs a layer.
    /// </exception>
    public static GptOssModel Load(
        IMoeHost host, GptOssOptions options, IProgress<double>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(host);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        var config = GptOssConfig.Read(Path.Combine(options.Model, "config.json"));
        var made = new Stack<IDisposable>();
        try
        {
            var checkpoint = Checkpoint.Open(options.Model);
            made.Push(checkpoint);
            var tensors = new ModelTensors(checkpoint, config);
            MoeLayerRequest[] requests = [.. tensors.Layers.Select(layer => Request(layer.Experts, options))];
            if (options.ChecksMemory)
            {
                MemoryCheck.Run(host, config, options, requests, checkpoint);
            }

            var team = new CpuTeam(options.Threads == 0 ? Environment.ProcessorCount : options.Threads);
            made.Push(team);
            var weights = new ModelWeights(tensors, config, team.ThreadCount);
            made.Push(weights);
            var steps = new LoadProgress(progress, weights.ByteCount, [.. tensors.Layers.Select(layer => ExpertBytes.Of(layer.Experts.Shape))]);
            weights.Load(team.ThreadCount, steps.Add, cancellationToken);
            var ranks = ExpertRanks.Create(host, requests[0], options);
            made.Push(ranks);
            var experts = new ExpertLayer[config.LayerCount];
            for (int layer = 0; layer < experts.Length; layer++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                ExpertTensors source = tensors.Layers[layer].Experts;
                experts[layer] = new ExpertLayer(host, requests[layer], source, ranks, cancellationToken);
                made.Push(experts[layer]);
                steps.Add(ExpertBytes.Of(source.Shape));
            }

            return new GptOssModel(checkpoint, config, options, weights, experts, ranks, team);
        }
        catch
        {
            while (made.TryPop(out IDisposable? part))
            {
                part.Dispose();
            }

            throw;
        }
    }

    /// <summary>Makes an empty text.</summary>
    /// <exception cref="ObjectDisposedException">The model was disposed.</exception>
    public GptOssSequence CreateSequence()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        return new GptOssSequence(this, Config, _options);
    }

    /// <summary>Reads a sequence's next tokens, in chunks, and says what may follow.</summary>
    /// <param name="sequence">The text so far.</param>
    /// <param name="tokens">What comes next, at least one token.</param>
    /// <param name="logits">[vocabulary], after the last of them.</param>
    /// <param name="cancellationToken">Ends it between two layers; the sequence is what it was before.</param>
    /// <inheritdoc cref="ForwardBatch(IReadOnlyList{GptOssInput}, Span{float}, CancellationToken)" path="/exception"/>
    public void Forward(GptOssSequence sequence, ReadOnlyMemory<int> tokens, Span<float> logits, CancellationToken cancellationToken = default) =>
        ForwardBatch([new GptOssInput { Sequence = sequence, Tokens = tokens }], logits, cancellationToken);

    /// <summary>Reads the next tokens of several sequences together, in chunks.</summary>
    /// <param name="inputs">A sequence stands in it once.</param>
    /// <param name="logits">[rows, vocabulary], the rows of the first input first.</param>
    /// <param name="cancellationToken">Ends it between two layers; the sequences are what they were before.</param>
    /// <exception cref="ArgumentException">A token is none of the vocabulary, a sequence is another model's or stands there twice, or the logits have another length.</exception>
    /// <exception cref="MoeException">A text is longer than the context, there is no memory for it, or a backend failed; the sequences are what they were before.</exception>
    public void ForwardBatch(IReadOnlyList<GptOssInput> inputs, Span<float> logits, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            List<BatchToken> tokens = BatchReader.Read(this, inputs, logits.Length);
            int[] lengths = [.. inputs.Select(input => input.Sequence.Length)];
            try
            {
                for (int first = 0; first < tokens.Count; first += _options.ChunkTokens)
                {
                    RunChunk(tokens.GetRange(first, Math.Min(_options.ChunkTokens, tokens.Count - first)), logits, cancellationToken);
                }
            }
            catch
            {
                for (int i = 0; i < lengths.Length; i++)
                {
                    inputs[i].Sequence.Length = lengths[i];
                }

                throw;
            }
        }
    }

    /// <summary>
    /// Makes the expert layers again whose plugin was reloaded since, or whose device was lost, each from the checkpoint. To be called
    /// between two texts: what was computed before was computed by the version before.
    /// </summary>
    /// <returns>How many layers were made.</returns>
    /// <exception cref="MoeException">A layer cannot be made; it goes on as it was.</exception>
    public int RefreshExperts(CancellationToken cancellationToken = default)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            return _experts.Count(layer => layer.Refresh(cancellationToken));
        }
    }

    /// <summary>Frees the weights and the layers, and closes the checkpoint.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_isDisposed)
            {
                return;
            }

            _isDisposed = true;
            _logits?.Dispose();
            foreach (IDisposable part in (IDisposable[])[_forward, .. _experts, _ranks, _weights, _team, _checkpoint])
            {
                part.Dispose();
            }
        }
    }

    private static MoeLayerRequest Request(ExpertTensors experts, GptOssOptions options) => new()
    {
        Name = experts.Name,
        Shape = experts.Shape,
        Backend = options.Backend,
        Device = options.Device,
        Options = new MoeLayerOptions
        {
            MaxTokens = options.ChunkTokens,
            InputType = options.ActivationType,
            OutputType = options.ActivationType,
        },
    };

    private unsafe void RunChunk(List<BatchToken> tokens, Span<float> logits, CancellationToken cancellationToken)
    {
        foreach (BatchToken token in tokens)
        {
            token.Sequence.Length = Math.Max(token.Sequence.Length, token.Position + 1);
        }

        BatchToken[] asking = [.. tokens.Where(token => token.LogitRow >= 0)];
        long bytes = (long)Math.Max(asking.Length, 1) * _forward.LogitWidth * sizeof(float);
        if (_logits is null || _logits.ByteCount < bytes)
        {
            _logits?.Dispose();
            _logits = new NativeBuffer(bytes);
        }

        float* rows = _logits.Pointer<float>();
        _forward.Run(tokens, rows, cancellationToken);
        for (int i = 0; i < asking.Length; i++)
        {
            new ReadOnlySpan<float>(rows + ((long)i * _forward.LogitWidth), Config.VocabularySize)
                .CopyTo(logits[(asking[i].LogitRow * Config.VocabularySize)..]);
        }
    }
}
