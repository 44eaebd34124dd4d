namespace Moe.Plugins.GptOss.Cuda;

/// <summary>What a rank's share of a model takes of its device's memory, about: what is compared with what is free before anything is read.</summary>
internal static class MemoryNeed
{
    /// <summary>For kernels, cuBLAS, logits, what weights come through, and what the driver needs.</summary>
    private const long Reserve = 512L << 20;

    /// <summary>Bytes of weights, cache and forwards.</summary>
    /// <param name="share">The model's sizes with the rank's heads and vocabulary.</param>
    /// <param name="options">The context, and how many tokens are computed at once.</param>
    /// <param name="expertBytes">Bytes of the rank's part of the expert layers, of those that are on GPUs.</param>
    public static long Of(GptOssConfig share, GptOssOptions options, long expertBytes) =>
        DeviceModel.ByteCountOf(share) + expertBytes + (CachePool.PositionBytes(share) * options.MaxContext) + (TokenBytes(share) * options.ChunkTokens) + Reserve;

    /// <summary>Bytes of a token that is computed: its rows in attention, once for all layers, and those of each expert that it chooses, likewise.</summary>
    private static long TokenBytes(GptOssConfig share)
    {
        long hidden = share.HiddenSize, heads = (long)share.HeadCount * share.HeadSize, keys = 2L * share.KeyValueHeadCount * share.HeadSize;
        long attention = (hidden * (sizeof(float) + (2 * sizeof(ushort)))) + (2 * heads * sizeof(ushort)) + (Math.Max(heads + keys, hidden) * sizeof(float));
        long experts = ((share.TopK * ((2 * hidden) + share.IntermediateSize)) + (2 * hidden)) * sizeof(ushort);
        return attention + experts;
    }
}
