using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>What forwards of up to so many tokens need, made once; recorded graphs hold its addresses.</summary>
internal sealed unsafe class EngineBuffers : DeviceArena
{
    /// <summary>Whether logits are wanted, before the draws.</summary>
    private const int FlagBytes = 16;

    /// <summary>What comes before the tokens of a batch.</summary>
    private static readonly int HeaderBytes = FlagBytes + (ModelKernels.MostTexts * sizeof(DeviceDraw));

    private readonly CudaHostMemory _hostBatch;
    private readonly CudaHostMemory _hostGroups;
    private readonly CudaHostMemory _hostRows;
    private readonly CudaHostMemory _chosen;
    private readonly nint _batch;
    private readonly nint _rows;

    public EngineBuffers(CudaContext context, ModelShare share, ModelKernels kernels, int maxTokens, bool hasBlas, bool isPart)
        : base(context)
    {
        GptOssConfig config = share.Config;
        long width = config.HiddenSize, heads = (long)config.HeadCount * config.HeadSize;
        long projected = Math.Max(heads + (2L * config.KeyValueHeadCount * config.HeadSize), isPart ? width : 0);
        int partials = Enumerable.Range(1, ModelKernels.MostTexts).Max(tokens => tokens * kernels.Splits(tokens));
        _batch = Allocate(HeaderBytes + ((long)maxTokens * sizeof(DeviceToken)));
        Groups = Allocate((long)maxTokens * sizeof(TokenGroup));
        _rows = Allocate(ModelKernels.MostTexts * sizeof(int));
        Stream = Allocate(maxTokens * width * (isPart ? sizeof(ushort) : sizeof(float)));
        Normed = Allocate(maxTokens * width * sizeof(ushort));
        ExpertOutput = Allocate(maxTokens * width * sizeof(ushort));
        Queries = Allocate(maxTokens * heads * sizeof(ushort));
        Attended = Allocate(maxTokens * heads * sizeof(ushort));
        Projected = hasBlas ? Allocate(maxTokens * projected * sizeof(float)) : 0;
        Partials = Allocate((long)partials * ModelKernels.PartialFloats(config) * sizeof(float));
        Arrived = Upload<int>(new int[ModelKernels.MostTexts * config.KeyValueHeadCount]);
        LayerCounters = Upload<int>(new int[config.LayerCount * AttentionLayerPlan.CounterWords]);
        HeadRows = Allocate(ModelKernels.MostTexts * width * sizeof(ushort));
        Candidates = Allocate((long)ModelKernels.MostTexts * kernels.HeadBlocks * sizeof(long));
        Logits = Allocate(LogitGather.OwnFloats(share) * sizeof(float));
        Banned = Upload<uint>(new uint[(share.AllTokens + 31) / 32]);
        OwnBanned = Banned + (share.FirstToken / 32 * sizeof(uint));
        _hostBatch = context.AllocateHost(HeaderBytes + ((long)maxTokens * sizeof(DeviceToken)));
        _hostGroups = context.AllocateHost((long)maxTokens * sizeof(TokenGroup));
        _hostRows = context.AllocateHost(ModelKernels.MostTexts * sizeof(int));
        _chosen = context.AllocateHost(ModelKernels.MostTexts * sizeof(DeviceCandidate));
    }

    /// <summary>Not 0 where logits are wanted.</summary>
    public nint WantsLogits => _batch;

    /// <summary>[rows], how each one's token is chosen.</summary>
    public nint Draws => _batch + FlagBytes;

    /// <summary>The batch's tokens.</summary>
    public nint Tokens => _batch + HeaderBytes;

    /// <summary>Neighbours that a warp of attention has.</summary>
    public nint Groups { get; }

    /// <summary>The residual stream: [tokens, hidden], float32; of a rank's part BF16, what the group reduces.</summary>
    public nint Stream { get; }

    /// <summary>BF16 [tokens, hidden], what attention and experts read.</summary>
    public nint Normed { get; }

    /// <summary>BF16 [tokens, hidden]; of a rank's part normed, what the next layer's attention reads.</summary>
    public nint ExpertOutput { get; }

    /// <summary>BF16 [tokens, query heads, head size].</summary>
    public nint Queries { get; }

    /// <summary>BF16 [tokens, query heads, head size].</summary>
    public nint Attended { get; }

    /// <summary>Float32 [tokens, queries, keys and values], or a rank's part of attention's output; 0 without cuBLAS.</summary>
    public nint Projected { get; }

    /// <summary>What splits of attention sum.</summary>
    public nint Partials { get; }

    /// <summary>Splits that are done.</summary>
    public nint Arrived { get; }

    /// <summary>What the blocks of a layer's attention count.</summary>
    public nint LayerCounters { get; }

    /// <summary>BF16 [rows, hidden], what the head reads.</summary>
    public nint HeadRows { get; }

    /// <summary>[rows, blocks of the head's kernel].</summary>
    public nint Candidates { get; }

    /// <summary>Float32 [rows, the device's vocabulary], and room for what is gathered beyond the last of them.</summary>
    public nint Logits { get; }

    /// <summary>A bit for each token of the whole vocabulary.</summary>
    public nint Banned { get; }

    /// <summary>The bits of the device's own vocabulary.</summary>
    public nint OwnBanned { get; }

    /// <summary>The chosen tokens, which the device writes into the host's memory.</summary>
    public nint ChosenAddress => _chosen.Handle;

    public ReadOnlySpan<DeviceCandidate> Chosen => new((void*)_chosen.Handle, ModelKernels.MostTexts);

    public Span<TokenGroup> HostGroups => new((void*)_hostGroups.Handle, (int)(_hostGroups.ByteCount / sizeof(TokenGroup)));

    /// <summary>Writes the batch into the host's memory, which <see cref="CopyBatch"/> copies from.</summary>
    /// <param name="tokens">The tokens.</param>
    /// <param name="rank">The rank whose keys and values they are to have.</param>
    public void SetBatch(IReadOnlyList<BatchToken> tokens, int rank)
    {
        var target = (DeviceToken*)(_hostBatch.Handle + HeaderBytes);
        for (int i = 0; i < tokens.Count; i++)
        {
            target[i] = new DeviceToken(((RankedCache)tokens[i].Sequence.Cache).Of(rank).Table, tokens[i].Id, tokens[i].Position);
        }
    }

    /// <summary>Writes what is wanted of some rows into the host's memory, which <see cref="CopyBatch"/> copies from.</summary>
    public void SetDraws(bool wantsLogits, ReadOnlySpan<DeviceDraw> draws)
    {
        *(int*)_hostBatch.Handle = wantsLogits ? 1 : 0;
        draws.CopyTo(new Span<DeviceDraw>((void*)(_hostBatch.Handle + FlagBytes), ModelKernels.MostTexts));
    }

    /// <summary>Copies what is wanted, and so many tokens.</summary>
    public void CopyBatch(int tokens, nint stream) =>
        CudaMemory.Copy(_batch, _hostBatch.Handle, HeaderBytes + ((long)tokens * sizeof(DeviceToken)), stream);

    public void CopyGroups(int groups, nint stream) => CudaMemory.Copy(Groups, _hostGroups.Handle, (long)groups * sizeof(TokenGroup), stream);

    /// <summary>Says which rows ask, once what was enqueued before has run.</summary>
    /// <returns>Their device address.</returns>
    public nint SetRows(ReadOnlySpan<int> rows, nint stream)
    {
        rows.CopyTo(new Span<int>((void*)_hostRows.Handle, rows.Length));
        CudaMemory.Copy(_rows, _hostRows.Handle, (long)rows.Length * sizeof(int), stream);
        return _rows;
    }

    protected override void DisposeOwn()
    {
        foreach (CudaHostMemory? memory in (CudaHostMemory?[])[_hostBatch, _hostGroups, _hostRows, _chosen])
        {
            memory?.Dispose();
        }
    }
}
