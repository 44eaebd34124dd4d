using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.GptOss;

/// <summary>
/// A GPT-OSS model: the expert layers on the backends that a host chooses for them; attention, norms, embedding and head on the processor, or on
/// the device that the options name.
/// </summary>
/// <remarks>
/// Thread-safe: forwards take turns. Dispose it before the host, after its sequences. The checkpoint stays open: a layer whose plugin is
/// reloaded is made from it again.
/// </remarks>
public sealed class GptOssModel : IDisposable
{
    /// <summary>Of each GPU: while one layer is read, others allocate what they need.</summary>
    private const int LayersAtOnce = 3;

    private readonly Checkpoint _checkpoint;
    private readonly ExpertLayer[] _experts;
    private readonly ModelRanks _ranks;
    private readonly GptOssOptions _options;
    private readonly Lock _lock = new();
    private bool _isDisposed;

    private GptOssModel(
        Checkpoint checkpoint, GptOssConfig config, GptOssOptions options, IModelEngine engine, ExpertLayer[] experts, ModelRanks ranks)
    {
        _ranks = ranks;
        _checkpoint = checkpoint;
        _options = options;
        _experts = experts;
        Engine = engine;
        Config = config;
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

    /// <summary>Where all but the expert layers is computed: one device, or a GPU for each rank that shares it.</summary>
    public IReadOnlyList<MoeDevice> Devices => Engine.Devices;

    /// <summary>Threads of the processor that compute all but the expert layers; 0 where a device does.</summary>
    public int ThreadCount => Engine.ThreadCount;

    /// <summary>For each layer which backend runs its experts, and why.</summary>
    public IReadOnlyList<MoeSelectionReport> ExpertSelections => [.. _experts.Select(layer => layer.Selection)];

    /// <summary>Bytes of all weights as they lie in memory and on devices. The processor leaves the embedding in the file.</summary>
    public long WeightByteCount => Engine.WeightByteCount + _experts.Sum(layer => layer.ByteCount);

    internal IModelEngine Engine { get; }

    /// <summary>Loads a model.</summary>
    /// <param name="host">Chooses and makes the expert layers.</param>
    /// <param name="options">What to load, and how.</param>
    /// <param name="progress">Told the share that is loaded, 0 to 1: one number after another, none below the one before. Loading waits meanwhile.</param>
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
        using IDisposable? opening = options.Platform.Begin();
        var made = new Stack<IDisposable>();
        try
        {
            var checkpoint = Checkpoint.Open(options.Model);
            made.Push(checkpoint);
            var tensors = new ModelTensors(checkpoint, config);
            MoeLayerRequest[] requests = [.. tensors.Layers.Select(layer => options.Platform.Place(host, Request(layer.Experts, options)))];
            var plan = RankPlan.Create(host, requests[0], options);
            options.Platform.Check(host, config, options, plan, requests, checkpoint);
            var steps = new LoadProgress(progress, tensors.OwnByteCount, [.. tensors.Layers.Select(layer => ExpertBytes.Of(layer.Experts.Shape))]);
            var ranks = ModelRanks.Create(host, plan, requests[0], options.Platform.LeastGroupRows(config, plan));
            made.Push(ranks);
            IReadOnlyList<MoeDevice> home = options.Platform.IsCut ? plan.Devices : options.Platform.Devices;
            MoeTurns[] turns = [.. Enumerable.Range(0, plan.Count).Select(_ => new MoeTurns())];
            ExpertLayer[] experts = [.. tensors.Layers.Select((layer, i) => new ExpertLayer(host, requests[i], layer.Experts, ranks, turns, home))];
            Array.ForEach(experts, made.Push);
            IModelEngine engine = Load(
                options.Platform.IsCut, experts, ranks, steps, token => options.Platform.Load(tensors, config, experts, ranks, options, steps, token), cancellationToken);
            return new GptOssModel(checkpoint, config, options, engine, experts, ranks);
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
        return new GptOssSequence(this, Engine.CreateCache());
    }

    /// <summary>Reads a sequence's next tokens, in chunks, and says what may follow.</summary>
    /// <param name="sequence">The text so far.</param>
    /// <param name="tokens">What comes next, at least one token.</param>
    /// <param name="logits">[vocabulary], after the last of them.</param>
    /// <param name="cancellationToken">Ends it between two layers; the sequence is what it was before.</param>
    /// <inheritdoc cref="ForwardBatch(IReadOnlyList{GptOssInput}, Span{float}, CancellationToken)" path="/exception"/>
    public void Forward(GptOssSequence sequence, ReadOnlyMemory<int> tokens, Span<float> logits, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sequence);
        ForwardBatch([new GptOssInput { Sequence = sequence, Tokens = tokens }], logits, cancellationToken);
    }

    /// <summary>Reads the next tokens of several sequences together, in chunks.</summary>
    /// <param name="inputs">A sequence stands in it once.</param>
    /// <param name="logits">[rows, vocabulary], the rows of the first input first.</param>
    /// <param name="cancellationToken">Ends it between two layers; the sequences are what they were before.</param>
    /// <exception cref="ArgumentException">A token is none of the vocabulary, a sequence is another model's or stands there twice, or the logits have another length.</exception>
    /// <exception cref="MoeException">A text is longer than the context, there is no memory for it, or a backend failed; the sequences are what they were before.</exception>
    public void ForwardBatch(IReadOnlyList<GptOssInput> inputs, Span<float> logits, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        long expected = inputs.Sum(input => (long)input.LogitRows) * Config.VocabularySize;
        if (logits.Length != expected)
        {
            throw new ArgumentException($"There is room for {logits.Length} logits; {expected} are expected, the vocabulary for each row.");
        }

        Run(inputs, new ForwardResults { Logits = logits, Banned = [] }, cancellationToken);
    }

    /// <summary>
    /// Reads the next tokens of several sequences together, in chunks, and says which token is likeliest after each row; of equal ones the lowest id.
    /// A device finds it by itself, and nothing else comes from it.
    /// </summary>
    /// <param name="inputs">A sequence stands in it once.</param>
    /// <param name="likeliest">[rows], those of the first input first.</param>
    /// <param name="banned">Tokens that are never chosen; null for none.</param>
    /// <param name="cancellationToken">Ends it between two layers; the sequences are what they were before.</param>
    /// <exception cref="ArgumentException">A token is none of the vocabulary, a sequence is another model's or stands there twice, or there is room for another number of rows.</exception>
    /// <exception cref="MoeException">As with <see cref="ForwardBatch"/>, or the logits are not numbers.</exception>
    public void ChooseLikeliest(
        IReadOnlyList<GptOssInput> inputs, Span<int> likeliest, IReadOnlyCollection<int>? banned = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        Choose(inputs, likeliest, samplers: [], banned ?? [], cancellationToken);
    }

    /// <summary>Reads the next tokens of several sequences together, and chooses the one after each row.</summary>
    internal void Choose(
        IReadOnlyList<GptOssInput> inputs, Span<int> next, ReadOnlySpan<Sampler> samplers, IReadOnlyCollection<int> banned, CancellationToken cancellationToken)
    {
        int expected = inputs.Sum(input => input.LogitRows);
        if (next.Length != expected)
        {
            throw new ArgumentException($"There is room for {next.Length} tokens; {expected} are expected, one for each row.");
        }

        Run(inputs, new ForwardResults { Next = next, Samplers = samplers, Banned = banned }, cancellationToken);
    }

    private void Run(IReadOnlyList<GptOssInput> inputs, ForwardResults results, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            List<BatchToken> tokens = BatchReader.Read(this, inputs);
            int[] lengths = [.. inputs.Select(input => input.Sequence.Length)];
            try
            {
                for (int first = 0; first < tokens.Count; first += _options.ChunkTokens)
                {
                    List<BatchToken> chunk = tokens.GetRange(first, Math.Min(_options.ChunkTokens, tokens.Count - first));
                    foreach (BatchToken token in chunk)
                    {
                        token.Sequence.Length = Math.Max(token.Sequence.Length, token.Position + 1);
                    }

                    Engine.Run(chunk, results, cancellationToken);
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
            int made = _experts.Count(layer => layer.Refresh(cancellationToken));
            if (made > 0)
            {
                Engine.ForgetExperts();
            }

            return made;
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
            foreach (IDisposable part in (IDisposable[])[Engine, .. _experts, _ranks, _checkpoint])
            {
                part.Dispose();
            }
        }
    }

    /// <summary>
    /// Loads all ranks' parts of the expert layers, and the rest of the model. On GPUs that is at once, a few layers of each rank: what one layer does beside
    /// reading others make up for. On the processor one after the other, for all of them use all processors.
    /// </summary>
    private static IModelEngine Load(
        bool isCut, ExpertLayer[] experts, ModelRanks ranks, LoadProgress steps, Func<CancellationToken, IModelEngine> loadRest, CancellationToken cancellationToken)
    {
        int[] next = new int[ranks.Count];
        IEnumerable<Action<CancellationToken>> loadExperts = Enumerable.Range(0, ranks.Count).SelectMany(
            rank => Enumerable.Repeat<Action<CancellationToken>>(token => LoadExperts(rank, token), isCut ? LayersAtOnce : 1));
        IModelEngine? engine = null;
        if (isCut)
        {
            try
            {
                LoadWork.Run([.. loadExperts, token => engine = loadRest(token)], cancellationToken);
                return engine!;
            }
            catch
            {
                // It may be there while a layer of experts has failed.
                engine?.Dispose();
                throw;
            }
        }

        LoadWork.Run([.. loadExperts], cancellationToken);
        return loadRest(cancellationToken);

        void LoadExperts(int rank, CancellationToken token)
        {
            for (int layer; (layer = Interlocked.Increment(ref next[rank]) - 1) < experts.Length;)
            {
                token.ThrowIfCancellationRequested();
                experts[layer].Load(rank, steps.Of(experts[layer].StoredByteCount / ranks.Count), token);
            }
        }
    }

    private static MoeLayerRequest Request(ExpertTensors experts, GptOssOptions options) => new()
    {
        Name = experts.Name,
        Shape = experts.Shape,
        Backend = options.Backend,
        NamedBy = $"{nameof(GptOssOptions)}.{nameof(GptOssOptions.Backend)}",
        Device = options.Device,
        Options = new MoeLayerOptions
        {
            MaxTokens = options.ChunkTokens,
            InputType = options.ActivationType,
            OutputType = options.ActivationType,
        },
    };
}
