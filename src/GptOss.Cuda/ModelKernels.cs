using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>The kernels of all but the expert layers, and how they are launched. Launches only enqueue; the context must be current.</summary>
internal sealed class ModelKernels
{
    /// <summary>Tokens that a product reads its weights once for.</summary>
    public const int ProductTokens = 32;

    /// <summary>Tokens whose rows <see cref="AttendLayer"/> and <see cref="NormHead"/> norm, <c>kNormedTokens</c> in <c>gpt_oss_normed_rows.cuh</c>.</summary>
    public const int NormedTokens = 2;

    /// <summary>Texts of a step.</summary>
    public const int MostTexts = 64;

    /// <summary>Attention of one token of each text is split at most so often.</summary>
    public const int MostSplits = 32;

    private const int KeepThreads = 256;
    private const int EmbeddingThreads = 256;
    private const int ChooseThreads = 1024;

    private const int NormThreads = 512;
    private const int PrefillWarps = 4;
    private const int DecodeThreads = 256;
    private const int RingThreads = ProductKernels.Threads + 32;

    /// <summary>Rows of the tensor cores' operand.</summary>
    internal const int RowsOfTile = 16;

    private readonly KernelLibrary _library;
    private readonly GptOssConfig _config;
    private readonly int _multiprocessors;
    private readonly ProductKernels _queryKeyValue;
    private readonly ProductKernels _addProduct;
    private readonly ProductKernels _partProduct;
    private readonly ProductKernels _head;
    private readonly CudaFunction _keep;
    private readonly CudaFunction _keepPart;
    private readonly CudaFunction _embedPart;
    private readonly CudaFunction _choose;
    private readonly CudaFunction _addNorm;
    private readonly CudaFunction _attentionDecode;
    private readonly CudaFunction _attentionPrefill;
    private readonly AttentionLayerPlan? _layerPlan;
    private readonly CudaFunction? _attentionLayer;
    private readonly WeightRing _headRing;
    private readonly CudaFunction? _normHead;

    /// <param name="library">Gets them; its context must be current.</param>
    /// <param name="config">The sizes, as far as the device has them.</param>
    /// <param name="isPart">Whether ranks share the model: a layer is then never one launch, and those kernels are not loaded.</param>
    /// <exception cref="MoeException">A kernel does not compile, or there is no compiler.</exception>
    public ModelKernels(KernelLibrary library, GptOssConfig config, bool isPart)
    {
        _library = library;
        _config = config;
        _multiprocessors = library.Context.Device.MultiprocessorCount;
        _queryKeyValue = new ProductKernels(library, config, Projections, QueryKeyValueEntry);
        _addProduct = new ProductKernels(library, config, Projections, AddProductEntry);
        _partProduct = new ProductKernels(library, config, Projections, PartProductEntry);
        _head = new ProductKernels(library, config, HeadUnit, HeadEntry);
        _keep = Get(Projections, "moe_keep_query_key_value");
        _keepPart = Get(Projections, "moe_keep_part");
        _embedPart = Get(Embedding, "moe_embed_part");
        _choose = Get(Selection, "moe_choose");
        _addNorm = Get(Norm, "moe_add_norm");
        KernelUnit attention = AttentionOf(config.HeadSize);
        _attentionDecode = Get(attention, attention.Instances[0]);
        _attentionPrefill = Get(attention, attention.Instances[1]);
        _layerPlan = isPart ? null : AttentionLayerPlan.TryCreate(library.Context.Device, config);
        if (_layerPlan is not null)
        {
            _headRing = WeightRing.OfHead(library.Context.Device.MaxSharedBytesPerBlock, config);
            _attentionLayer = library.Get(AttentionLayerOf(config.HeadSize), AttentionLayerEntry(config.HeadSize), _layerPlan.SharedBytes, besideProducts: true);
            _normHead = library.Get(NormHeadUnit, "moe_norm_head", _headRing.SharedBytes, besideProducts: true);
        }

        HeadBlocks = _head.MostBlocks(tokens: 1, config.HiddenSize);
    }

    /// <summary>All sources for an architecture.</summary>
    public static IEnumerable<KernelUnit> Units(CudaArchitecture architecture) =>
    [
        Projections, Embedding, HeadUnit, Selection, Norm, AttentionOf(32), AttentionOf(64),
        .. AttentionLayerPlan.IsFor(architecture) ? (KernelUnit[])[AttentionLayerOf(32), AttentionLayerOf(64), NormHeadUnit] : [],
    ];

    /// <summary>Candidates of a token that <see cref="Head"/> leaves at most.</summary>
    public int HeadBlocks { get; }

    private static KernelUnit Projections { get; } = new(
        "gpt_oss_projections.cu",
        [.. ProductKernels.Entries(QueryKeyValueEntry), .. ProductKernels.Entries(AddProductEntry), .. ProductKernels.Entries(PartProductEntry)]);

    private static KernelUnit Embedding { get; } = new("gpt_oss_embedding.cu");

    private static KernelUnit HeadUnit { get; } = new("gpt_oss_head.cu", [.. ProductKernels.Entries(HeadEntry)]);

    private static KernelUnit NormHeadUnit { get; } = new("gpt_oss_norm_head.cu");

    private static KernelUnit Selection { get; } = new("gpt_oss_choose.cu");

    private static KernelUnit Norm { get; } = new("gpt_oss_norm.cu");

    /// <summary>How often attention of so many texts is split at most: until each multiprocessor has two blocks.</summary>
    public int Splits(int tokens) =>
        Math.Clamp(2 * _multiprocessors / (tokens * _config.KeyValueHeadCount), 1, MostSplits);

    /// <summary>Floats that <see cref="AttendStep"/> keeps for a token in one split.</summary>
    public static int PartialFloats(GptOssConfig config) => config.KeyValueHeadCount * RowsOfTile * (config.HeadSize + 2);

    /// <summary>Tokens of one text that one warp of <see cref="AttendPrompt"/> has.</summary>
    public static int GroupTokens(GptOssConfig config) => RowsOfTile / config.GroupSize;

    /// <summary>Adds to the stream and norms the sum.</summary>
    public void AddNorm(in NormParameters parameters, int rows, nint stream) =>
        _addNorm.Launch(_library.Launch(rows, NormThreads), stream, in parameters);

    /// <summary>Queries, and keys and values in the cache, of at most <see cref="ProductTokens"/> tokens.</summary>
    public void QueryKeyValue(in QueryKeyValueParameters parameters, nint stream) =>
        _queryKeyValue.Launch(parameters.Product, stream, in parameters);

    /// <summary>The same of a product that was computed elsewhere, of any number of tokens.</summary>
    public void KeepQueryKeyValue(in QueryKeyValueParameters parameters, nint stream) =>
        _keep.Launch(_library.Launch(parameters.Product.Tokens, KeepThreads), stream, in parameters);

    /// <summary>Adds a product and its bias to the stream of at most <see cref="ProductTokens"/> tokens.</summary>
    public void AddProduct(in AddProductParameters parameters, nint stream) =>
        _addProduct.Launch(parameters.Product, stream, in parameters);

    /// <summary>A rank's part of a product and its bias, of at most <see cref="ProductTokens"/> tokens.</summary>
    public void PartProduct(in PartParameters parameters, nint stream) => _partProduct.Launch(parameters.Product, stream, in parameters);

    /// <summary>The same of a product that was computed elsewhere, of any number of tokens.</summary>
    public void KeepPart(in PartParameters parameters, nint stream) =>
        _keepPart.Launch(_library.Launch(parameters.Product.Tokens, KeepThreads), stream, in parameters);

    /// <summary>A rank's part of the embedding.</summary>
    public void EmbedPart(in EmbeddingParameters parameters, int tokens, nint stream) =>
        _embedPart.Launch(_library.Launch(tokens, EmbeddingThreads), stream, in parameters);

    /// <summary>Logits, and candidates for the likeliest token, of at most <see cref="ProductTokens"/> tokens.</summary>
    /// <returns>Candidates of each token.</returns>
    public int Head(in HeadParameters parameters, nint stream) => _head.Launch(parameters.Product, stream, in parameters);

    /// <summary>The same of at most <see cref="NormedTokens"/> tokens whose rows it adds up and norms.</summary>
    /// <returns>Candidates of each token.</returns>
    public int NormHead(NormHeadParameters parameters, nint stream)
    {
        parameters.Ring = _headRing;
        int blocks = Math.Min(_multiprocessors, (parameters.Head.Product.Outputs + WeightRing.GroupRows - 1) / WeightRing.GroupRows);
        _normHead!.Launch(_library.Launch(blocks, RingThreads, _headRing.SharedBytes), stream, in parameters);
        return blocks;
    }

    /// <summary>Finds the likeliest of the candidates, or draws a token.</summary>
    public void Choose(in ChooseParameters parameters, int tokens, nint stream) =>
        _choose.Launch(_library.Launch(tokens, ChooseThreads), stream, in parameters);

    /// <summary>Attention of one token of each text.</summary>
    public void AttendStep(in AttentionParameters parameters, int tokens, nint stream) =>
        _attentionDecode.Launch(
            _library.Launch(new CudaDim3(Splits(tokens), _config.KeyValueHeadCount, tokens), DecodeThreads), stream, in parameters);

    /// <summary>Whether <see cref="AttendLayer"/> and <see cref="NormHead"/> can do so many tokens.</summary>
    public bool CanNorm(int tokens) => tokens <= NormedTokens && _layerPlan is not null;

    /// <summary>A layer up to its experts, of one token of each text.</summary>
    public void AttendLayer(AttentionLayerParameters parameters, nint stream)
    {
        AttentionLayerPlan plan = _layerPlan!;
        plan.Set(ref parameters, _config.KeyValueHeadCount);
        _attentionLayer!.Launch(_library.Launch(plan.Shares, RingThreads, plan.SharedBytes), stream, in parameters);
    }

    /// <summary>Attention of groups of neighbours.</summary>
    public void AttendPrompt(in AttentionParameters parameters, nint stream) =>
        _attentionPrefill.Launch(
            _library.Launch(new CudaDim3((parameters.GroupCount + PrefillWarps - 1) / PrefillWarps, _config.KeyValueHeadCount), 32 * PrefillWarps),
            stream,
            in parameters);

    private static string QueryKeyValueEntry(int tiles) => $"moe_query_key_value<{tiles}>";

    private static string AddProductEntry(int tiles) => $"moe_add_product<{tiles}>";

    private static string PartProductEntry(int tiles) => $"moe_part_product<{tiles}>";

    private static string HeadEntry(int tiles) => $"moe_head<{tiles}>";

    private static string AttentionLayerEntry(int headSize) => $"moe_attention_layer<{headSize}>";

    private static KernelUnit AttentionLayerOf(int headSize) => new("gpt_oss_attention_layer.cu", AttentionLayerEntry(headSize));

    private static KernelUnit AttentionOf(int headSize) =>
        new("gpt_oss_attention.cu", $"moe_attention_decode<{headSize}>", $"moe_attention_prefill<{headSize}>");

    /// <summary>The products of expert layers split the L1 cache in a way of their own; what splits it in another way cannot run beside them.</summary>
    private CudaFunction Get(KernelUnit unit, string entry) => _library.Get(unit, entry, besideProducts: true);

    /// <summary>As <c>NormedRows</c> in <c>gpt_oss_normed_rows.cuh</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct NormedParameters
    {
        public nint Stream;
        public nint Added;
        public nint Weight;
        public nint Begins;
        public float Epsilon;
        private readonly int _reserved;
    }

    /// <summary>As <c>CacheLayer</c> in <c>gpt_oss_batch.cuh</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct CacheParameters
    {
        public long First;
        public int Heads;
        public int HeadSize;
    }

    /// <summary>As in <c>gpt_oss_projections.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct QueryKeyValueParameters
    {
        public ProductKernels.Parameters Product;
        public nint Projected;
        public nint Bias;
        public nint Tokens;
        public nint Rotary;
        public nint Queries;
        public CacheParameters Cache;
        public int Heads;
        private readonly int _reserved;
    }

    /// <summary>As in <c>gpt_oss_projections.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct AddProductParameters
    {
        public ProductKernels.Parameters Product;
        public nint Bias;
        public nint Stream;
    }

    /// <summary>As in <c>gpt_oss_projections.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct PartParameters
    {
        public ProductKernels.Parameters Product;
        public nint Projected;
        public nint Bias;
        public nint Part;
    }

    /// <summary>As in <c>gpt_oss_embedding.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct EmbeddingParameters
    {
        public nint Embedding;
        public nint Tokens;
        public nint Part;
        public int First;
        public int Count;
        public int Width;
        private readonly int _reserved;
    }

    /// <summary>As in <c>gpt_oss_head.cuh</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct HeadParameters
    {
        public ProductKernels.Parameters Product;
        public nint Logits;
        public nint WantsLogits;
        public nint Banned;
        public nint Candidates;
    }

    /// <summary>As in <c>gpt_oss_norm_head.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct NormHeadParameters
    {
        public HeadParameters Head;
        public NormedParameters Normed;
        public WeightRing Ring;
    }

    /// <summary>As in <c>gpt_oss_draw.cuh</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct LogitPieces
    {
        public nint First;
        public long Stride;
        public int Tokens;
        public int Vocabulary;
    }

    /// <summary>As in <c>gpt_oss_choose.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct ChooseParameters
    {
        public nint Candidates;
        public LogitPieces Logits;
        public nint Banned;
        public nint Draws;
        public nint Chosen;
        public int Count;
        public int RowStride;
        public int Stride;
        public int FirstToken;
    }

    /// <summary>As in <c>gpt_oss_norm.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct NormParameters
    {
        public nint Stream;
        public nint Added;
        public nint Bias;
        public nint Weight;
        public nint Normed;
        public nint Begins;
        public nint Rows;
        public int Width;
        public float Epsilon;
    }

    /// <summary>As in <c>gpt_oss_attention.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct AttentionParameters
    {
        public nint Queries;
        public nint Tokens;
        public nint Sinks;
        public nint Out;
        public nint Partial;
        public nint Arrived;
        public nint Groups;
        public CacheParameters Cache;
        public int Heads;
        public int Window;
        public int GroupCount;
        public float Scale;
    }

    /// <summary>As in <c>gpt_oss_attention_layer.cu</c>; what <see cref="AttentionLayerPlan"/> says comes last.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct AttentionLayerParameters
    {
        public QueryKeyValueParameters First;
        public NormedParameters NormedFirst;
        public AttentionParameters Attention;
        public ProductKernels.Parameters Output;
        public nint OutputBias;
        public nint Stream;
        public nint Norm;
        public nint Normed;
        public nint Counters;
        public int Shares;
        public int Splits;
        public WeightRing Ring;
        public int PartBegin;
        public int PartRows;
    }
}
