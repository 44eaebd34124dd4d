using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>
/// A whole model on one device: products add to a float32 residual stream, and norm the rows that they read where those are few. Expert layers that are elsewhere
/// are fed through the host's memory.
/// </summary>
internal sealed class WholeForward : DeviceForward
{
    private readonly IReadOnlyList<ExpertLayer> _experts;
    private readonly int _maxTokens;
    private ExpertDetour? _detour;

    public WholeForward(
        KernelLibrary library, ModelKernels kernels, DeviceModel model, CudaBlas? blas, ModelShare share, IReadOnlyList<ExpertLayer> experts, int maxTokens)
        : base(library, kernels, model, blas, share, maxTokens, isPart: false)
    {
        _experts = experts;
        _maxTokens = maxTokens;
    }

    /// <inheritdoc/>
    protected override void EnqueueLayers(int count, int groups, CancellationToken cancellationToken)
    {
        for (int i = 0; i < Model.Layers.Count; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            EnqueueAttentionBlock(i, count, groups);
            EnqueueExperts(_experts[i], count);
        }
    }

    /// <inheritdoc/>
    protected override HeadRows EnqueueHeadRows(ReadOnlySpan<int> rows, int count)
    {
        if (rows.IsEmpty && Kernels.CanNorm(count))
        {
            return new HeadRows(0, Normed(Buffers.ExpertOutput, Model.FinalNorm));
        }

        EnqueueNorm(count, Model.FinalNorm, Buffers.HeadRows, Buffers.ExpertOutput, rows: rows.IsEmpty ? 0 : Buffers.SetRows(rows, Stream));
        return new HeadRows(Buffers.HeadRows, null);
    }

    /// <summary>What the layer before has, norm, attention, and the norm before the experts.</summary>
    private void EnqueueAttentionBlock(int index, int count, int groups)
    {
        DeviceModelLayer layer = Model.Layers[index];
        ModelKernels.CacheParameters cache = Cache(index);
        nint added = index == 0 ? Model.Embedding : Buffers.ExpertOutput, begins = index == 0 ? Buffers.Tokens : 0;
        if (groups == 0 && Kernels.CanNorm(count))
        {
            EnqueueAttentionLayer(index, layer, cache, count, added, begins);
            return;
        }

        EnqueueNorm(count, layer.AttentionNorm, Buffers.Normed, added, begins: begins);
        EnqueueQueryKeyValue(layer.QueryKeyValue, cache, Buffers.Normed, count);
        EnqueueAttention(layer, cache, count, groups);
        EnqueueOutput(layer.Output, count);
        EnqueueNorm(count, layer.ExpertNorm, Buffers.Normed, bias: IsLarge(count) ? layer.Output.Bias : 0);
    }

    private void EnqueueAttentionLayer(
        int index, DeviceModelLayer layer, ModelKernels.CacheParameters cache, int count, nint added, nint begins) =>
        Kernels.AttendLayer(
            new ModelKernels.AttentionLayerParameters
            {
                First = QueryKeyValue(layer.QueryKeyValue, cache, rows: 0, first: 0, count),
                NormedFirst = Normed(added, layer.AttentionNorm, begins),
                Attention = Attention(layer, cache, groups: 0),
                Output = Product(layer.Output, Buffers.Attended, first: 0, count),
                OutputBias = layer.Output.Bias,
                Stream = Buffers.Stream,
                Norm = layer.ExpertNorm,
                Normed = Buffers.Normed,
                Counters = Buffers.LayerCounters + Offset<int>((long)index * AttentionLayerPlan.CounterWords),
            },
            Stream);

    private ModelKernels.NormedParameters Normed(nint added, nint weight, nint begins = 0) => new()
    {
        Stream = Buffers.Stream,
        Added = added,
        Weight = weight,
        Begins = begins,
        Epsilon = (float)Config.NormEpsilon,
    };

    private void EnqueueNorm(int count, nint weight, nint normed, nint added = 0, nint bias = 0, nint begins = 0, nint rows = 0) => Kernels.AddNorm(
        new ModelKernels.NormParameters
        {
            Stream = Buffers.Stream,
            Added = added,
            Bias = bias,
            Weight = weight,
            Normed = normed,
            Begins = begins,
            Rows = rows,
            Width = Config.HiddenSize,
            Epsilon = (float)Config.NormEpsilon,
        },
        count,
        Stream);

    /// <summary>Adds to the stream; what is large comes without its bias.</summary>
    private void EnqueueOutput(DeviceLinear linear, int count)
    {
        if (IsLarge(count))
        {
            EnqueueLarge(linear, Buffers.Attended, Buffers.Stream, adds: true, count);
            return;
        }

        for (int first = 0; first < count; first += ModelKernels.ProductTokens)
        {
            Kernels.AddProduct(
                new ModelKernels.AddProductParameters
                {
                    Product = Product(linear, Buffers.Attended, first, Math.Min(ModelKernels.ProductTokens, count - first)),
                    Bias = linear.Bias,
                    Stream = Buffers.Stream + Offset<float>((long)first * linear.Outputs),
                },
                Stream);
        }
    }

    private void EnqueueExperts(ExpertLayer layer, int count)
    {
        if (layer.IsAtHome)
        {
            layer.Enqueue(rank: 0, View(Buffers.Normed, count), View(Buffers.ExpertOutput, count), Stream);
        }
        else
        {
            _detour ??= Own(new ExpertDetour(Context, _maxTokens, Config.HiddenSize));
            _detour.Run(layer, Buffers.Normed, Buffers.ExpertOutput, count, Stream);
        }
    }
}
