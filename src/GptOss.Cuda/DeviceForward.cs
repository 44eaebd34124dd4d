using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>
/// What one device does of forwards, enqueued on a stream of its own: all but how rows are added up and normed between the products, which differs between a
/// whole model and a rank's share of one. The context must be current but where a method says otherwise.
/// </summary>
internal abstract class DeviceForward : IDisposable
{
    private readonly KernelLibrary _library;
    private readonly CudaBlas? _blas;
    private readonly CudaEvent _done;
    private readonly Stack<IDisposable> _made = new();
    private readonly Dictionary<(int Count, bool IsDrawn), CudaExecutableGraph> _steps = [];
    private readonly float _scale;

    /// <summary>Takes over library, context and model, once it is made.</summary>
    protected DeviceForward(KernelLibrary library, ModelKernels kernels, DeviceModel model, CudaBlas? blas, ModelShare share, int maxTokens, bool isPart)
    {
        _library = library;
        Share = share;
        Kernels = kernels;
        Model = model;
        _scale = (float)(Math.Log2(Math.E) / Math.Sqrt(Config.HeadSize));
        CudaContext context = library.Context;
        using CudaContextScope scope = context.MakeCurrent();
        Device = MoeDevice.Cuda(context.Device.Ordinal);
        try
        {
            Pool = Own(new CachePool(context, Config));
            Buffers = Own(new EngineBuffers(context, share, kernels, maxTokens, blas is not null, isPart));
            Stream = Own(context.CreateStream());
            _done = Own(context.CreateEvent(timing: false));
            _blas = blas is null ? null : Own(blas);
        }
        catch
        {
            DisposeOwn();
            throw;
        }
    }

    public MoeDevice Device { get; }

    public CudaContext Context => _library.Context;

    /// <summary>Where texts' keys and values come from.</summary>
    public CachePool Pool { get; }

    public long WeightByteCount => Model.ByteCount;

    public bool HasBlas => _blas is not null;

    /// <summary>The model's sizes, as far as the device has them.</summary>
    protected GptOssConfig Config => Share.Config;

    protected ModelShare Share { get; }

    protected ModelKernels Kernels { get; }

    protected DeviceModel Model { get; }

    protected EngineBuffers Buffers { get; }

    protected CudaStream Stream { get; }

    /// <summary>Says what is wanted of rows; needs no context.</summary>
    public void SetDraws(bool wantsLogits, ReadOnlySpan<DeviceDraw> draws) => Buffers.SetDraws(wantsLogits, draws);

    /// <summary>Says which tokens come next; needs no context.</summary>
    public void SetBatch(IReadOnlyList<BatchToken> tokens) => Buffers.SetBatch(tokens, Share.Rank);

    /// <summary>Says which tokens of the whole vocabulary are never chosen, a bit each. Makes the context current.</summary>
    public void Ban(ReadOnlySpan<uint> words)
    {
        using CudaContextScope scope = Context.MakeCurrent();
        CudaMemory.Upload(Buffers.Banned, words);
    }

    /// <summary>One token of each of so many texts, all of which ask.</summary>
    /// <param name="count">Texts.</param>
    /// <param name="isDrawn">Whether ranks draw together.</param>
    /// <param name="cancellationToken">Ends it between two layers.</param>
    public void EnqueueStep(int count, bool isDrawn, CancellationToken cancellationToken)
    {
        Buffers.CopyBatch(count, Stream);
        EnqueueLayers(count, groups: 0, cancellationToken);
        EnqueueHead([], count, isDrawn);
    }

    /// <summary>Records a step of so many texts.</summary>
    /// <inheritdoc cref="EnqueueStep" path="/param"/>
    public void RecordStep(int count, bool isDrawn)
    {
        using CudaGraph graph = Stream.Capture(() => EnqueueStep(count, isDrawn, CancellationToken.None));
        _steps[(count, isDrawn)] = graph.Instantiate();
    }

    /// <summary>Makes the context current.</summary>
    public void ReplayStep(int count, bool isDrawn) => _steps[(count, isDrawn)].Launch(Stream);

    /// <summary>Forgets what was recorded. Makes the context current.</summary>
    public void ForgetSteps()
    {
        using CudaContextScope scope = Context.MakeCurrent();
        foreach (CudaExecutableGraph step in _steps.Values)
        {
            step.Dispose();
        }

        _steps.Clear();
    }

    /// <summary>The layers of any tokens.</summary>
    public void EnqueuePrompt(IReadOnlyList<BatchToken> tokens, CancellationToken cancellationToken)
    {
        int groups = SetGroups(tokens);
        Buffers.CopyBatch(tokens.Count, Stream);
        Buffers.CopyGroups(groups, Stream);
        EnqueueLayers(tokens.Count, groups, cancellationToken);
    }

    /// <summary>The head of some rows, behind the last prompt's layers. Makes the context current.</summary>
    public void EnqueueHeadOf(ReadOnlySpan<int> rows, bool isDrawn)
    {
        using CudaContextScope scope = Context.MakeCurrent();
        Buffers.CopyBatch(tokens: 0, Stream);
        EnqueueHead(rows, rows.Length, isDrawn);
    }

    /// <summary>Copies the device's logits of a row to their place in a row of the whole vocabulary on the host. Makes the context current.</summary>
    public void CopyLogits(int row, nint host)
    {
        using CudaContextScope scope = Context.MakeCurrent();
        long width = Config.VocabularySize;
        CudaMemory.Copy(host + Offset<float>(Share.FirstToken), Buffers.Logits + Offset<float>(row * width), Offset<float>(width), Stream);
    }

    /// <summary>The token that was chosen for a row, once that was waited for: the likeliest one of the device's own, or what ranks drew together.</summary>
    public DeviceCandidate Chosen(int row) => Buffers.Chosen[row];

    /// <summary>Marks where <see cref="Wait"/> waits for. Makes the context current.</summary>
    public void Mark()
    {
        using CudaContextScope scope = Context.MakeCurrent();
        _done.Record(Stream);
    }

    /// <summary>Waits for what was enqueued before the mark. Makes the context current.</summary>
    public void Wait()
    {
        using CudaContextScope scope = Context.MakeCurrent();
        _done.Synchronize();
    }

    /// <summary>Waits for all, whatever has failed. Makes the context current.</summary>
    public void Settle()
    {
        try
        {
            using CudaContextScope scope = Context.MakeCurrent();
            Stream.Synchronize();
        }
        catch (CudaException)
        {
            // What failed is what is told.
        }
    }

    public void Dispose()
    {
        using (Context.MakeCurrent())
        {
            ForgetSteps();
            DisposeOwn();
            Model.Dispose();
        }

        _library.Dispose();
        Context.Dispose();
    }

    /// <summary>From the embedding to the last layer's experts.</summary>
    /// <param name="count">Tokens.</param>
    /// <param name="groups">Groups of neighbours; 0 for one token of each text.</param>
    /// <param name="cancellationToken">Ends it between two layers.</param>
    protected abstract void EnqueueLayers(int count, int groups, CancellationToken cancellationToken);

    /// <summary>Brings normed rows to the head.</summary>
    /// <param name="rows">The rows that ask; empty for the first <paramref name="count"/>.</param>
    /// <param name="count">How many.</param>
    /// <returns>The rows, or what they are normed from by the head itself.</returns>
    protected abstract HeadRows EnqueueHeadRows(ReadOnlySpan<int> rows, int count);

    /// <summary>[rows], where the device's likeliest tokens go where ranks draw together.</summary>
    protected virtual nint Likeliest => 0;

    /// <summary>Chooses the tokens of so many rows together with other ranks, once each has its likeliest.</summary>
    protected virtual void EnqueueDraws(int count)
    {
    }

    /// <summary>Frees what was made later first.</summary>
    protected T Own<T>(T part)
        where T : IDisposable
    {
        _made.Push(part);
        return part;
    }

    protected void DisposeOwn()
    {
        while (_made.TryPop(out IDisposable? part))
        {
            part.Dispose();
        }
    }

    /// <summary>Whether products of so many tokens are cuBLAS's.</summary>
    protected bool IsLarge(int count) => count > ModelKernels.MostTexts && HasBlas;

    /// <summary>The product of so many rows that are large, in float32.</summary>
    protected void EnqueueLarge(DeviceLinear linear, nint rows, nint target, bool adds, int count) =>
        _blas!.Multiply(count, linear.Outputs, linear.Inputs, rows, linear.Weight, target, adds, Stream);

    /// <summary>Queries, and keys and values in the cache, of normed rows.</summary>
    protected void EnqueueQueryKeyValue(DeviceLinear linear, ModelKernels.CacheParameters cache, nint rows, int count)
    {
        if (IsLarge(count))
        {
            EnqueueLarge(linear, rows, Buffers.Projected, adds: false, count);
            ModelKernels.QueryKeyValueParameters parameters = QueryKeyValue(linear, cache, rows, first: 0, count);
            parameters.Projected = Buffers.Projected;
            Kernels.KeepQueryKeyValue(in parameters, Stream);
            return;
        }

        for (int first = 0; first < count; first += ModelKernels.ProductTokens)
        {
            Kernels.QueryKeyValue(QueryKeyValue(linear, cache, rows, first, Math.Min(ModelKernels.ProductTokens, count - first)), Stream);
        }
    }

    protected ModelKernels.QueryKeyValueParameters QueryKeyValue(
        DeviceLinear linear, ModelKernels.CacheParameters cache, nint rows, int first, int count) => new()
        {
            Product = Product(linear, rows, first, count, Config.HeadSize / 2),
            Bias = linear.Bias,
            Tokens = Buffers.Tokens + Offset<DeviceToken>(first),
            Rotary = Model.Rotary,
            Queries = Buffers.Queries + Offset<ushort>((long)first * Config.HeadCount * Config.HeadSize),
            Cache = cache,
            Heads = Config.HeadCount,
        };

    protected void EnqueueAttention(DeviceModelLayer layer, ModelKernels.CacheParameters cache, int count, int groups)
    {
        ModelKernels.AttentionParameters parameters = Attention(layer, cache, groups);
        if (groups == 0)
        {
            Kernels.AttendStep(in parameters, count, Stream);
        }
        else
        {
            Kernels.AttendPrompt(in parameters, Stream);
        }
    }

    protected ModelKernels.AttentionParameters Attention(DeviceModelLayer layer, ModelKernels.CacheParameters cache, int groups) => new()
    {
        Queries = Buffers.Queries,
        Tokens = Buffers.Tokens,
        Sinks = layer.Sinks,
        Out = Buffers.Attended,
        Partial = Buffers.Partials,
        Arrived = Buffers.Arrived,
        Groups = Buffers.Groups,
        Cache = cache,
        Heads = Config.HeadCount,
        Window = layer.IsSliding ? Config.SlidingWindow : 0,
        GroupCount = groups,
        Scale = _scale,
    };

    protected static unsafe nint Offset<T>(long elements)
        where T : unmanaged => (nint)(elements * sizeof(T));

    protected static ProductKernels.Parameters Product(DeviceLinear linear, nint rows, int first, int count, int half = 8) => new()
    {
        Weight = linear.Weight,
        Rows = rows + Offset<ushort>((long)first * linear.Inputs),
        Outputs = linear.Outputs,
        Inputs = linear.Inputs,
        Tokens = count,
        Half = half,
    };

    protected ModelKernels.CacheParameters Cache(int layer) => new()
    {
        First = 2L * layer * Config.KeyValueHeadCount * CachePool.PagePositions * Config.HeadSize,
        Heads = Config.KeyValueHeadCount,
        HeadSize = Config.HeadSize,
    };

    protected MoeTensorView View(nint address, int count) => new(address, Device, MoeElementType.BFloat16, count, Config.HiddenSize);

    /// <summary>The last norm, the head, and the chosen tokens.</summary>
    private void EnqueueHead(ReadOnlySpan<int> rows, int count, bool isDrawn)
    {
        HeadRows input = EnqueueHeadRows(rows, count);
        for (int first = 0; first < count; first += ModelKernels.ProductTokens)
        {
            int tokens = Math.Min(ModelKernels.ProductTokens, count - first);
            var head = new ModelKernels.HeadParameters
            {
                Product = Product(Model.Head, input.Rows, first, tokens),
                Logits = Buffers.Logits + Offset<float>((long)first * Config.VocabularySize),
                WantsLogits = Buffers.WantsLogits,
                Banned = Buffers.OwnBanned,
                Candidates = Buffers.Candidates,
            };
            int blocks = input.Normed is { } normed
                ? Kernels.NormHead(new ModelKernels.NormHeadParameters { Head = head, Normed = normed }, Stream)
                : Kernels.Head(in head, Stream);
            var choose = new ModelKernels.ChooseParameters
            {
                Candidates = Buffers.Candidates,
                Logits = new ModelKernels.LogitPieces { First = head.Logits, Tokens = Config.VocabularySize, Vocabulary = Config.VocabularySize },
                Banned = Buffers.OwnBanned,
                Draws = isDrawn ? 0 : Buffers.Draws + Offset<DeviceDraw>(first),
                Chosen = (isDrawn ? Likeliest : Buffers.ChosenAddress) + Offset<DeviceCandidate>(first),
                Count = blocks,
                RowStride = blocks,
                Stride = 1,
                FirstToken = Share.FirstToken,
            };
            Kernels.Choose(in choose, tokens, Stream);
        }

        if (isDrawn)
        {
            EnqueueDraws(count);
        }
    }

    /// <summary>Neighbours of one text, as many as a warp of attention has.</summary>
    private int SetGroups(IReadOnlyList<BatchToken> tokens)
    {
        int most = ModelKernels.GroupTokens(Config), groups = 0;
        for (int first = 0, next; first < tokens.Count; first = next)
        {
            for (next = first + 1; next < tokens.Count && next - first < most && tokens[next].Sequence == tokens[first].Sequence;)
            {
                next++;
            }

            Buffers.HostGroups[groups++] = new TokenGroup(first, next - first);
        }

        return groups;
    }

    /// <summary>What the head reads.</summary>
    /// <param name="Rows">BF16 [rows, hidden].</param>
    /// <param name="Normed">What it norms by itself in their place; null for nothing.</param>
    protected readonly record struct HeadRows(nint Rows, ModelKernels.NormedParameters? Normed);
}
