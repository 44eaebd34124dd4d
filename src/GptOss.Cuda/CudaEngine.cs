using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>
/// Computes on a CUDA device. A batch of one token of each text is a step, which is recorded as one graph for each number of texts and then replayed; all
/// else, and every batch where an expert layer is elsewhere, is launched kernel by kernel.
/// </summary>
internal sealed class CudaEngine : IModelEngine
{
    private readonly KernelLibrary _library;
    private readonly ModelKernels _kernels;
    private readonly DeviceModel _model;
    private readonly GptOssConfig _config;
    private readonly IReadOnlyList<ExpertLayer> _experts;
    private readonly CachePool _pool;
    private readonly EngineBuffers _buffers;
    private readonly CudaBlas? _blas;
    private readonly CudaStream _stream;
    private readonly CudaEvent _done;
    private readonly ExpertDetour? _detour;
    private readonly Stack<IDisposable> _made = new();
    private readonly int _maxContext;
    private readonly float _scale;

    /// <summary>By the number of texts: null after the first step, which is launched kernel by kernel and loads what recording must find loaded.</summary>
    private readonly Dictionary<int, CudaExecutableGraph?> _graphs = [];

    private IReadOnlyCollection<int> _banned = [];

    /// <summary>Takes over the library and the model, once it is made.</summary>
    public CudaEngine(
        KernelLibrary library, ModelKernels kernels, DeviceModel model, GptOssConfig config, IReadOnlyList<ExpertLayer> experts, GptOssOptions options)
    {
        _library = library;
        _kernels = kernels;
        _model = model;
        _config = config;
        _experts = experts;
        _maxContext = options.MaxContext;
        _scale = (float)(Math.Log2(Math.E) / Math.Sqrt(config.HeadSize));
        CudaContext context = library.Context;
        using CudaContextScope scope = context.MakeCurrent();
        Device = MoeDevice.Cuda(context.Device.Ordinal);
        try
        {
            _blas = CudaBlas.TryCreate() is { } blas ? Own(blas) : null;
            _pool = Own(new CachePool(context, config));
            _buffers = Own(new EngineBuffers(context, config, kernels, options.ChunkTokens, _blas is not null));
            _stream = Own(context.CreateStream());
            _done = Own(context.CreateEvent(timing: false));
            _detour = experts.All(layer => layer.IsAtHome) ? null : Own(new ExpertDetour(context, options.ChunkTokens, config.HiddenSize));
        }
        catch
        {
            DisposeOwn();
            throw;
        }
    }

    public MoeDevice Device { get; }

    public int ThreadCount => 0;

    public long WeightByteCount => _model.ByteCount;

    /// <summary>Whether steps are recorded; else they are launched kernel by kernel.</summary>
    public bool UsesGraphs { get; set; } = true;

    /// <summary>Steps that were recorded.</summary>
    public int GraphCount => _graphs.Values.Count(graph => graph is not null);

    /// <summary>Whether large products are cuBLAS's.</summary>
    public bool HasBlas => _blas is not null;

    public IKeyValueCache CreateCache() => new DeviceCache(_pool, _maxContext);

    public void Run(IReadOnlyList<BatchToken> tokens, ForwardResults results, CancellationToken cancellationToken)
    {
        using CudaContextScope scope = _library.Context.MakeCurrent();
        try
        {
            Ban(results.Banned);
            _buffers.SetBatch(tokens);
            if (IsStep(tokens))
            {
                RunStep(tokens, results, cancellationToken);
            }
            else
            {
                RunPrompt(tokens, results, cancellationToken);
            }
        }
        catch (Exception exception)
        {
            Settle();
            throw exception is CudaException cuda ? CudaFault.Explain(cuda) : exception;
        }
    }

    public void ForgetExperts()
    {
        foreach (CudaExecutableGraph? graph in _graphs.Values)
        {
            graph?.Dispose();
        }

        _graphs.Clear();
    }

    public void Dispose()
    {
        using (_library.Context.MakeCurrent())
        {
            Settle();
            ForgetExperts();
            DisposeOwn();
            _model.Dispose();
        }

        _library.Dispose();
        _library.Context.Dispose();
    }

    private T Own<T>(T part)
        where T : IDisposable
    {
        _made.Push(part);
        return part;
    }

    private void DisposeOwn()
    {
        while (_made.TryPop(out IDisposable? part))
        {
            part.Dispose();
        }
    }

    /// <summary>One token of each text, all of which ask.</summary>
    private static bool IsStep(IReadOnlyList<BatchToken> tokens)
    {
        if (tokens.Count > ModelKernels.MostTexts)
        {
            return false;
        }

        for (int i = 0; i < tokens.Count; i++)
        {
            if (tokens[i].LogitRow < 0 || (i > 0 && tokens[i].Sequence == tokens[i - 1].Sequence))
            {
                return false;
            }
        }

        return true;
    }

    private void RunStep(IReadOnlyList<BatchToken> tokens, ForwardResults results, CancellationToken cancellationToken)
    {
        int count = tokens.Count;
        SetDraws(tokens, 0, count, results);
        if (!UsesGraphs || !_experts.All(layer => layer.IsAtHome))
        {
            EnqueueStep(count, cancellationToken);
        }
        else if (!_graphs.TryGetValue(count, out CudaExecutableGraph? graph))
        {
            EnqueueStep(count, cancellationToken);
            _graphs[count] = null;
        }
        else
        {
            cancellationToken.ThrowIfCancellationRequested();
            _graphs[count] = graph ??= Record(count);
            graph.Launch(_stream);
        }

        Wait();
        Deliver(tokens, 0, count, results);
    }

    private CudaExecutableGraph Record(int count)
    {
        using CudaGraph graph = _stream.Capture(() => EnqueueStep(count, CancellationToken.None));
        return graph.Instantiate();
    }

    private void EnqueueStep(int count, CancellationToken cancellationToken)
    {
        _buffers.CopyBatch(count, _stream);
        EnqueueLayers(count, groups: 0, cancellationToken);
        EnqueueHead(StreamAfter(_model.Layers.Count - 1, count), rows: 0, count);
    }

    private void RunPrompt(IReadOnlyList<BatchToken> tokens, ForwardResults results, CancellationToken cancellationToken)
    {
        int groups = SetGroups(tokens);
        var asking = new List<BatchToken>();
        for (int i = 0; i < tokens.Count; i++)
        {
            if (tokens[i].LogitRow >= 0)
            {
                _buffers.HostRows[asking.Count] = i;
                asking.Add(tokens[i]);
            }
        }

        _buffers.CopyBatch(tokens.Count, _stream);
        _buffers.CopyGroups(groups, _stream);
        _buffers.CopyRows(asking.Count, _stream);
        EnqueueLayers(tokens.Count, groups, cancellationToken);
        for (int first = 0; first < asking.Count; first += ModelKernels.MostTexts)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int count = Math.Min(ModelKernels.MostTexts, asking.Count - first);
            SetDraws(asking, first, count, results);
            _buffers.CopyBatch(tokens: 0, _stream);
            EnqueueHead(StreamAfter(_model.Layers.Count - 1, tokens.Count), _buffers.Rows + Offset<int>(first), count);
            Wait();
            Deliver(asking, first, count, results);
        }

        Wait();
    }

    /// <summary>Neighbours of one text, as many as a warp of attention has.</summary>
    private int SetGroups(IReadOnlyList<BatchToken> tokens)
    {
        int most = ModelKernels.GroupTokens(_config), groups = 0;
        for (int first = 0, next; first < tokens.Count; first = next)
        {
            for (next = first + 1; next < tokens.Count && next - first < most && tokens[next].Sequence == tokens[first].Sequence;)
            {
                next++;
            }

            _buffers.HostGroups[groups++] = new TokenGroup(first, next - first);
        }

        return groups;
    }

    /// <summary>From the embedding to the last layer's experts, whose result is not added yet.</summary>
    /// <param name="count">Tokens.</param>
    /// <param name="groups">Groups of neighbours; 0 for one token of each text.</param>
    /// <param name="cancellationToken">Ends it between two layers.</param>
    private void EnqueueLayers(int count, int groups, CancellationToken cancellationToken)
    {
        for (int i = 0; i < _model.Layers.Count; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            EnqueueAttentionBlock(i, count, groups);
            EnqueueExperts(_experts[i], count);
        }
    }

    /// <summary>What the layer before has, norm, attention, and the norm before the experts.</summary>
    private void EnqueueAttentionBlock(int index, int count, int groups)
    {
        DeviceModelLayer layer = _model.Layers[index];
        ModelKernels.CacheParameters cache = Cache(index);
        bool isLarge = count > ModelKernels.MostTexts && _blas is not null;
        nint added = index == 0 ? _model.Embedding : _buffers.ExpertOutput, begins = index == 0 ? _buffers.Tokens : 0;
        if (NormsItself(count))
        {
            EnqueueNormedQueryKeyValue(index, layer, cache, count, added, begins);
        }
        else
        {
            EnqueueNorm(_buffers.Stream, count, layer.AttentionNorm, added, begins: begins);
            EnqueueQueryKeyValue(layer.QueryKeyValue, cache, count, isLarge);
        }

        nint stream = StreamAfter(index, count);
        EnqueueAttention(layer, cache, count, groups);
        EnqueueOutput(layer.Output, stream, count, isLarge);
        EnqueueNorm(stream, count, layer.ExpertNorm, bias: isLarge ? layer.Output.Bias : 0);
    }

    /// <summary>Whether products norm the rows that they read, which saves launches.</summary>
    private bool NormsItself(int count) => _kernels.CanNorm(count);

    /// <summary>Where the stream is once a layer's attention has read it.</summary>
    private nint StreamAfter(int layer, int count) => NormsItself(count) && layer % 2 == 0 ? _buffers.OtherStream : _buffers.Stream;

    private void EnqueueNormedQueryKeyValue(
        int index, DeviceModelLayer layer, ModelKernels.CacheParameters cache, int count, nint added, nint begins)
    {
        ModelKernels.QueryKeyValueParameters parameters = QueryKeyValue(layer.QueryKeyValue, cache, first: 0, count);
        parameters.Normed = Normed(StreamAfter(index - 1, count), added, layer.AttentionNorm, begins);
        parameters.Normed.Sum = StreamAfter(index, count);
        _kernels.NormQueryKeyValue(in parameters, _stream);
    }

    private ModelKernels.NormedParameters Normed(nint stream, nint added, nint weight, nint begins = 0) => new()
    {
        Stream = stream,
        Added = added,
        Weight = weight,
        Begins = begins,
        Epsilon = (float)_config.NormEpsilon,
    };

    private void EnqueueNorm(nint stream, int count, nint weight, nint added = 0, nint bias = 0, nint begins = 0) => _kernels.AddNorm(
        new ModelKernels.NormParameters
        {
            Stream = stream,
            Added = added,
            Bias = bias,
            Weight = weight,
            Normed = _buffers.Normed,
            Begins = begins,
            Width = _config.HiddenSize,
            Epsilon = (float)_config.NormEpsilon,
        },
        count,
        _stream);

    private void EnqueueQueryKeyValue(DeviceLinear linear, ModelKernels.CacheParameters cache, int count, bool isLarge)
    {
        if (isLarge)
        {
            _blas!.Multiply(count, linear.Outputs, linear.Inputs, _buffers.Normed, linear.Weight, _buffers.Projected, adds: false, _stream);
            ModelKernels.QueryKeyValueParameters parameters = QueryKeyValue(linear, cache, first: 0, count);
            parameters.Projected = _buffers.Projected;
            _kernels.KeepQueryKeyValue(in parameters, _stream);
            return;
        }

        for (int first = 0; first < count; first += ModelKernels.ProductTokens)
        {
            _kernels.QueryKeyValue(QueryKeyValue(linear, cache, first, Math.Min(ModelKernels.ProductTokens, count - first)), _stream);
        }
    }

    private ModelKernels.QueryKeyValueParameters QueryKeyValue(DeviceLinear linear, ModelKernels.CacheParameters cache, int first, int count) => new()
    {
        Product = Product(linear, _buffers.Normed, first, count, _config.HeadSize / 2),
        Bias = linear.Bias,
        Tokens = _buffers.Tokens + Offset<DeviceToken>(first),
        Rotary = _model.Rotary,
        Queries = _buffers.Queries + Offset<ushort>((long)first * _config.HeadCount * _config.HeadSize),
        Cache = cache,
        Heads = _config.HeadCount,
    };

    private void EnqueueAttention(DeviceModelLayer layer, ModelKernels.CacheParameters cache, int count, int groups)
    {
        var parameters = new ModelKernels.AttentionParameters
        {
            Queries = _buffers.Queries,
            Tokens = _buffers.Tokens,
            Sinks = layer.Sinks,
            Out = _buffers.Attended,
            Partial = _buffers.Partials,
            Arrived = _buffers.Arrived,
            Groups = _buffers.Groups,
            Cache = cache,
            Heads = _config.HeadCount,
            Window = layer.IsSliding ? _config.SlidingWindow : 0,
            GroupCount = groups,
            Scale = _scale,
        };
        if (groups == 0)
        {
            _kernels.AttendStep(in parameters, count, _stream);
        }
        else
        {
            _kernels.AttendPrompt(in parameters, _stream);
        }
    }

    /// <summary>Adds to the stream; what is large comes without its bias.</summary>
    private void EnqueueOutput(DeviceLinear linear, nint stream, int count, bool isLarge)
    {
        if (isLarge)
        {
            _blas!.Multiply(count, linear.Outputs, linear.Inputs, _buffers.Attended, linear.Weight, stream, adds: true, _stream);
            return;
        }

        for (int first = 0; first < count; first += ModelKernels.ProductTokens)
        {
            _kernels.AddProduct(
                new ModelKernels.AddProductParameters
                {
                    Product = Product(linear, _buffers.Attended, first, Math.Min(ModelKernels.ProductTokens, count - first)),
                    Bias = linear.Bias,
                    Stream = stream + Offset<float>((long)first * linear.Outputs),
                },
                _stream);
        }
    }

    private void EnqueueExperts(ExpertLayer layer, int count)
    {
        if (layer.IsAtHome)
        {
            layer.Enqueue(View(_buffers.Normed, count), View(_buffers.ExpertOutput, count), _stream);
        }
        else
        {
            _detour!.Run(layer, _buffers.Normed, _buffers.ExpertOutput, count, _stream);
        }
    }

    /// <summary>The last norm, the head, and the likeliest tokens.</summary>
    /// <param name="stream">The stream after the last layer's attention.</param>
    /// <param name="rows">Device address of the rows that ask; 0 for all from the first on.</param>
    /// <param name="count">How many, at most <see cref="ModelKernels.MostTexts"/>.</param>
    private void EnqueueHead(nint stream, nint rows, int count)
    {
        bool normsItself = rows == 0 && NormsItself(count);
        if (!normsItself)
        {
            var norm = new ModelKernels.NormParameters
            {
                Stream = stream,
                Added = _buffers.ExpertOutput,
                Weight = _model.FinalNorm,
                Normed = _buffers.HeadRows,
                Rows = rows,
                Width = _config.HiddenSize,
                Epsilon = (float)_config.NormEpsilon,
            };
            _kernels.AddNorm(in norm, count, _stream);
        }

        for (int first = 0; first < count; first += ModelKernels.ProductTokens)
        {
            int tokens = Math.Min(ModelKernels.ProductTokens, count - first);
            var head = new ModelKernels.HeadParameters
            {
                Product = Product(_model.Head, _buffers.HeadRows, first, tokens),
                Normed = Normed(stream, _buffers.ExpertOutput, _model.FinalNorm),
                Logits = _buffers.Logits + Offset<float>((long)first * _config.VocabularySize),
                WantsLogits = _buffers.WantsLogits,
                Banned = _buffers.Banned,
                Candidates = _buffers.Candidates,
            };
            var choose = new ModelKernels.ChooseParameters
            {
                Candidates = _buffers.Candidates,
                Logits = head.Logits,
                Banned = _buffers.Banned,
                Draws = _buffers.Draws + Offset<DeviceDraw>(first),
                Chosen = _buffers.ChosenAddress + Offset<int>(first),
                Vocabulary = _config.VocabularySize,
                Count = normsItself ? _kernels.NormHead(in head, _stream) : _kernels.Head(in head, _stream),
            };
            _kernels.Choose(in choose, tokens, _stream);
        }
    }

    /// <summary>Hands out what the device found for some tokens that ask.</summary>
    private unsafe void Deliver(IReadOnlyList<BatchToken> asking, int first, int count, ForwardResults results)
    {
        int width = _config.VocabularySize;
        for (int i = 0; i < count; i++)
        {
            int row = asking[first + i].LogitRow;
            bool isHosts = !results.Next.IsEmpty && !IsDevices(results.SamplerOf(row));
            var logits = new Span<float>((void*)_buffers.HostLogits.Handle, width);
            if (!results.Logits.IsEmpty || isHosts)
            {
                CudaMemory.Copy(_buffers.HostLogits.Handle, _buffers.Logits + Offset<float>((long)i * width), Offset<float>(width), _stream);
                Wait();
            }

            if (!results.Logits.IsEmpty)
            {
                logits.CopyTo(results.Logits.Slice(row * width, width));
            }

            if (!results.Next.IsEmpty)
            {
                results.Next[row] = isHosts ? results.SamplerOf(row).Next(logits, results.Banned)
                    : _buffers.Chosen[i] >= 0 ? _buffers.Chosen[i]
                    : throw Sampler.NotNumbers();
            }
        }
    }

    /// <summary>Says what is wanted of some tokens that ask.</summary>
    private void SetDraws(IReadOnlyList<BatchToken> asking, int first, int count, ForwardResults results)
    {
        Span<DeviceDraw> draws = stackalloc DeviceDraw[ModelKernels.MostTexts];
        bool wantsLogits = !results.Logits.IsEmpty;
        for (int i = 0; i < count && !results.Next.IsEmpty; i++)
        {
            Sampler sampler = results.SamplerOf(asking[first + i].LogitRow);
            if (sampler.Options.Temperature == 0)
            {
                continue;
            }

            wantsLogits = true;
            if (IsDevices(sampler))
            {
                draws[i] = new DeviceDraw(sampler.NextUnit(), (float)sampler.Options.Temperature, (float)sampler.LeastWeight);
            }
        }

        _buffers.SetDraws(wantsLogits, draws);
    }

    /// <summary>Whether the device chooses. A nucleus has to be sorted, which the host does.</summary>
    private static bool IsDevices(Sampler sampler) => sampler.Options.Temperature == 0 || sampler.Options.TopP == 1;

    private void Ban(IReadOnlyCollection<int> banned)
    {
        if (ReferenceEquals(banned, _banned) || (banned.Count == 0 && _banned.Count == 0))
        {
            return;
        }

        uint[] words = new uint[_buffers.BannedWords];
        foreach (int id in banned)
        {
            words[id / 32] |= 1u << (id % 32);
        }

        CudaMemory.Upload<uint>(_buffers.Banned, words);
        _banned = banned;
    }

    private void Wait()
    {
        _done.Record(_stream);
        _done.Synchronize();
    }

    /// <summary>Nothing may be under way when a text's memory is given back, whatever has failed.</summary>
    private void Settle()
    {
        try
        {
            _stream.Synchronize();
        }
        catch (CudaException)
        {
            // What failed is what is told.
        }
    }

    private static unsafe nint Offset<T>(long elements)
        where T : unmanaged => (nint)(elements * sizeof(T));

    private static ModelKernels.ProductParameters Product(DeviceLinear linear, nint rows, int first, int count, int half = 8) => new()
    {
        Weight = linear.Weight,
        Rows = rows + Offset<ushort>((long)first * linear.Inputs),
        Outputs = linear.Outputs,
        Inputs = linear.Inputs,
        Tokens = count,
        Half = half,
    };

    private ModelKernels.CacheParameters Cache(int layer) => new()
    {
        First = 2L * layer * _config.KeyValueHeadCount * CachePool.PagePositions * _config.HeadSize,
        Heads = _config.KeyValueHeadCount,
        HeadSize = _config.HeadSize,
    };

    private MoeTensorView View(nint address, int count) => new(address, Device, MoeElementType.BFloat16, count, _config.HiddenSize);
}
