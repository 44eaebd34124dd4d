using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>What a rank brings to draws, and what it gathers: each rank's likeliest token, and the sums of its shares of the vocabulary.</summary>
internal sealed class RankDraws : DeviceArena
{
    public RankDraws(CudaContext context, ModelShare share)
        : base(context)
    {
        (ShareCount, ShareSize) = Shares(share);
        Likeliest = Allocate(ModelKernels.MostTexts * sizeof(long));
        AllLikeliest = Allocate((long)share.Count * ModelKernels.MostTexts * sizeof(long));
        Sums = Allocate((long)ModelKernels.MostTexts * ShareCount * sizeof(float));
        AllSums = Allocate((long)share.Count * ModelKernels.MostTexts * ShareCount * sizeof(float));
    }

    /// <summary>How a rank's range is cut into shares.</summary>
    public static (int Count, int Size) Shares(ModelShare share)
    {
        // A row of sums must not be longer than the group's, of BF16 and the hidden size.
        int count = Math.Min(ModelKernels.DrawShares / share.Count, share.Config.HiddenSize * sizeof(ushort) / sizeof(float));
        return (count, (share.MostTokens + count - 1) / count);
    }

    /// <summary>Shares of the rank's range.</summary>
    public int ShareCount { get; }

    /// <summary>Tokens of a share.</summary>
    public int ShareSize { get; }

    /// <summary>[rows] candidates.</summary>
    public nint Likeliest { get; }

    /// <summary>[ranks, rows] candidates.</summary>
    public nint AllLikeliest { get; }

    /// <summary>Float32 [rows, shares].</summary>
    public nint Sums { get; }

    /// <summary>Float32 [ranks, rows, shares].</summary>
    public nint AllSums { get; }
}
