using Moe.Plugins.Cuda;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>How <see cref="ModelKernels.AttendLayer"/> divides a layer's attention among the blocks, and a block's shared memory; names as in <c>gpt_oss_attention_layer.cu</c>.</summary>
internal sealed class AttentionLayerPlan
{
    /// <summary>Words of the counters of a layer.</summary>
    public const int CounterWords = 4 * 32;

    private const int RowsBegin = 320;
    private const int LeastGroups = 2;
    private const int MostShares = 256;
    private const int WarpCount = ProductKernels.Threads / 32;

    private AttentionLayerPlan(GptOssConfig config, int multiprocessors, int sharedBytes)
    {
        int heads = config.HeadCount * config.HeadSize, widest = Math.Max(config.HiddenSize, heads);
        int allPairs = (heads / 2) + (config.KeyValueHeadCount * config.HeadSize);
        Shares = Math.Min(multiprocessors, Math.Min(allPairs, config.HiddenSize));
        int pairs = CeilingOf(allPairs, Shares), outputs = CeilingOf(config.HiddenSize, Shares);
        MostOfShare = Math.Max(pairs, outputs);
        PartRows = CeilingOf(Math.Max(2 * pairs, outputs), WeightRing.GroupRows) * WeightRing.GroupRows;
        PartBegin = RowsBegin + WeightRing.NormedRowBytes(widest);
        int parts = WarpCount * ModelKernels.NormedTokens * PartRows * sizeof(float);
        int found = WarpCount * config.GroupSize * (config.HeadSize + 2) * sizeof(float);
        Ring = new WeightRing(Math.Max(PartBegin + parts, RowsBegin + found), widest, sharedBytes);
    }

    /// <summary>As many as blocks.</summary>
    public int Shares { get; }

    /// <summary>Bytes of dynamic shared memory.</summary>
    public int SharedBytes => Ring.SharedBytes;

    private WeightRing Ring { get; }

    private int PartRows { get; }

    private int PartBegin { get; }

    /// <summary>Pairs of the first product's outputs, or outputs of the second one, of a share at most.</summary>
    private int MostOfShare { get; }

    /// <summary>Whether an architecture has it: what came after Hopper has other bounds of registers, or less shared memory.</summary>
    public static bool IsFor(CudaArchitecture architecture) => architecture.Number == 90;

    /// <returns>Null where the device cannot do it, or the model is too large.</returns>
    public static AttentionLayerPlan? TryCreate(CudaDevice device, GptOssConfig config) =>
        IsFor(device.Architecture) ? TryCreate(device.MultiprocessorCount, device.MaxSharedBytesPerBlock, config) : null;

    /// <returns>Null where the model is too large.</returns>
    public static AttentionLayerPlan? TryCreate(int multiprocessors, int sharedBytes, GptOssConfig config)
    {
        if (config.HiddenSize % 32 != 0 || multiprocessors > MostShares)
        {
            return null;
        }

        var plan = new AttentionLayerPlan(config, multiprocessors, sharedBytes);
        return plan.Ring.Groups >= LeastGroups && plan.MostOfShare <= ProductKernels.Threads / ModelKernels.NormedTokens ? plan : null;
    }

    /// <summary>Fills in what follows from the plan.</summary>
    public void Set(ref ModelKernels.AttentionLayerParameters parameters, int keyValueHeads)
    {
        parameters.Shares = Shares;
        parameters.Splits = Math.Clamp(Shares / (parameters.Output.Tokens * keyValueHeads), 1, ModelKernels.MostSplits);
        parameters.Ring = Ring;
        parameters.PartBegin = PartBegin;
        parameters.PartRows = PartRows;
    }

    private static int CeilingOf(int value, int divisor) => (value + divisor - 1) / divisor;
}
