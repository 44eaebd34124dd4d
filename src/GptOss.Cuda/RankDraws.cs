using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>What ranks gather to draw tokens: the likeliest one of each rank, and the logits of all of them.</summary>
internal sealed class RankDraws : DeviceArena
{
    /// <param name="context">Of the rank's device.</param>
    /// <param name="share">The rank's.</param>
    /// <param name="groupRows">The most rows that the group gathers at once.</param>
    public RankDraws(CudaContext context, ModelShare share, int groupRows)
        : base(context)
    {
        Logits = new LogitGather(share, groupRows);
        Likeliest = Allocate(ModelKernels.MostTexts * sizeof(long));
        AllLikeliest = Allocate((long)share.Count * ModelKernels.MostTexts * sizeof(long));
        AllLogits = Allocate((long)share.Count * Logits.Rows(Logits.TextsAtOnce) * Logits.RowFloats * sizeof(float));
    }

    /// <summary>How logits are gathered.</summary>
    public LogitGather Logits { get; }

    /// <summary>[texts] candidates, with ids of the whole vocabulary.</summary>
    public nint Likeliest { get; }

    /// <summary>[ranks, texts] candidates.</summary>
    public nint AllLikeliest { get; }

    /// <summary>Float32 [ranks, gathered rows].</summary>
    public nint AllLogits { get; }
}
