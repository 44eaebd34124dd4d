using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>
/// A rank's share of a model on its device: heads, a part of each expert, a range of the vocabulary. What products leave is its part of sums, which the group
/// reduces, adds to a BF16 residual stream and norms, in one kernel each time: after the embedding, attention and experts.
/// </summary>
internal sealed class PartForward : DeviceForward
{
    private readonly IReadOnlyList<ExpertLayer> _experts;
    private readonly IMoeCommunicator _member;
    private readonly RankDraws _draws;

    public PartForward(
        KernelLibrary library,
        ModelKernels kernels,
        DeviceModel model,
        CudaBlas? blas,
        ModelShare share,
        IReadOnlyList<ExpertLayer> experts,
        IMoeCommunicator member,
        int maxTokens)
        : base(library, kernels, model, blas, share, maxTokens, isPart: true)
    {
        _experts = experts;
        _member = member;
        using CudaContextScope scope = Context.MakeCurrent();
        try
        {
            _draws = Own(new RankDraws(Context, share, member.Request.MaxTokens));
        }
        catch
        {
            DisposeOwn();
            throw;
        }
    }

    /// <inheritdoc/>
    protected override nint Likeliest => _draws.Likeliest;

    /// <inheritdoc/>
    protected override void EnqueueLayers(int count, int groups, CancellationToken cancellationToken)
    {
        EnqueueEmbedding(count);
        for (int i = 0; i < Model.Layers.Count; i++)
        {
            DeviceModelLayer layer = Model.Layers[i];
            ModelKernels.CacheParameters cache = Cache(i);
            EnqueueQueryKeyValue(layer.QueryKeyValue, cache, Buffers.ExpertOutput, count);
            EnqueueAttention(layer, cache, count, groups);
            MoePartial part = _member.LendPartial(count);
            EnqueueOutput(layer.Output, part.View.Address, count);
            Reduce(part, AddNorm(layer.ExpertNorm, count), Buffers.Normed, count);
            nint next = i + 1 < Model.Layers.Count ? Model.Layers[i + 1].AttentionNorm : Model.FinalNorm;
            _experts[i].Enqueue(_member.Rank, View(Buffers.Normed, count), View(Buffers.ExpertOutput, count), Stream, AddNorm(next, count));
        }
    }

    /// <inheritdoc/>
    protected override HeadRows EnqueueHeadRows(ReadOnlySpan<int> rows, int count)
    {
        // Normed behind the last layer's experts.
        if (rows.IsEmpty)
        {
            return new HeadRows(Buffers.ExpertOutput, null);
        }

        long bytes = Offset<ushort>(Config.HiddenSize);
        for (int first = 0, next; first < count; first = next)
        {
            for (next = first + 1; next < count && rows[next] == rows[next - 1] + 1;)
            {
                next++;
            }

            CudaMemory.Copy(Buffers.HeadRows + (nint)(first * bytes), Buffers.ExpertOutput + (nint)(rows[first] * bytes), (next - first) * bytes, Stream);
        }

        return new HeadRows(Buffers.HeadRows, null);
    }

    /// <inheritdoc/>
    protected override void EnqueueDraws(int count)
    {
        Gather(_draws.Likeliest, _draws.AllLikeliest, count, sizeof(long) / sizeof(float));
        LogitGather logits = _draws.Logits;
        for (int first = 0; first < count; first += logits.TextsAtOnce)
        {
            int texts = Math.Min(logits.TextsAtOnce, count - first);
            Gather(Buffers.Logits + Offset<float>(logits.First(first)), _draws.AllLogits, logits.Rows(texts), logits.RowFloats);
            var choose = new ModelKernels.ChooseParameters
            {
                Candidates = _draws.AllLikeliest + Offset<DeviceCandidate>(first),
                Logits = logits.Pieces(_draws.AllLogits, texts),
                Banned = Buffers.Banned,
                Draws = Buffers.Draws + Offset<DeviceDraw>(first),
                Chosen = Buffers.ChosenAddress + Offset<DeviceCandidate>(first),
                Count = Share.Count,
                RowStride = 1,
                Stride = count,
            };
            Kernels.Choose(in choose, texts, Stream);
        }
    }

    private void Gather(nint own, nint all, int rows, int columns) => _member.AllGather(new MoeGatherArguments
    {
        Input = new MoeTensorView(own, Device, MoeElementType.Float32, rows, columns),
        Output = new MoeTensorView(all, Device, MoeElementType.Float32, Share.Count * rows, columns),
        Stream = Stream,
    });

    private void EnqueueEmbedding(int count)
    {
        MoePartial part = _member.LendPartial(count);
        Kernels.EmbedPart(
            new ModelKernels.EmbeddingParameters
            {
                Embedding = Model.Embedding,
                Tokens = Buffers.Tokens,
                Part = part.View.Address,
                First = Share.FirstToken,
                Count = Config.VocabularySize,
                Width = Config.HiddenSize,
            },
            count,
            Stream);
        Reduce(part, AddNorm(Model.Layers[0].AttentionNorm, count) with { Residual = default }, Buffers.ExpertOutput, count);
    }

    private void EnqueueOutput(DeviceLinear linear, nint part, int count)
    {
        if (IsLarge(count))
        {
            EnqueueLarge(linear, Buffers.Attended, Buffers.Projected, adds: false, count);
            ModelKernels.PartParameters parameters = Part(linear, part, first: 0, count);
            parameters.Projected = Buffers.Projected;
            Kernels.KeepPart(in parameters, Stream);
            return;
        }

        for (int first = 0; first < count; first += ModelKernels.ProductTokens)
        {
            Kernels.PartProduct(Part(linear, part, first, Math.Min(ModelKernels.ProductTokens, count - first)), Stream);
        }
    }

    private ModelKernels.PartParameters Part(DeviceLinear linear, nint part, int first, int count) => new()
    {
        Product = Product(linear, Buffers.Attended, first, count),
        Bias = linear.Bias,
        Part = part + Offset<ushort>((long)first * linear.Outputs),
    };

    private void Reduce(MoePartial part, MoeAddNorm addNorm, nint output, int count) =>
        _member.ReduceAddNorm(new MoeReduceAddNormArguments { Partial = part, AddNorm = addNorm, Output = View(output, count), Stream = Stream });

    private MoeAddNorm AddNorm(nint weight, int count) => new()
    {
        NormWeight = new MoeTensorView(weight, Device, MoeElementType.Float32, 1, Config.HiddenSize),
        Epsilon = (float)Config.NormEpsilon,
        Residual = View(Buffers.Stream, count),
        ResidualOutput = View(Buffers.Stream, count),
    };
}
