using System.Numerics;

namespace Moe.Plugins.Kernels;

/// <summary>How the work of <c>router_cluster.cu</c> is divided, for a number of tokens.</summary>
/// <param name="TileBits">Logarithm of the tokens of a cluster.</param>
/// <param name="PartBits">Logarithm of the warps that share the products of 16 tokens.</param>
/// <param name="Count">Clusters.</param>
/// <param name="SharedBytes">Dynamic shared memory of a block.</param>
internal readonly record struct RouterClusters(int TileBits, int PartBits, int Count, int SharedBytes)
{
    /// <summary>Blocks of a cluster.</summary>
    public const int Blocks = 8;

    /// <summary>Threads of a block.</summary>
    public const int Threads = 512;

    // As in router_cluster.cu.
    private const int Rows = 32;
    private const int OwnBits = 4;
    private const int WarpBits = 4;
    private const int MaxTileBits = 6;
    private const int MaxPartBits = 3;
    private const int SumBytes = (Rows + 4) * sizeof(float) << (OwnBits + WarpBits);

    /// <summary>The clusters; null where the router does not fit them.</summary>
    /// <param name="tokens">Tokens, at least 1.</param>
    /// <param name="shape">The layer's shape.</param>
    /// <param name="terms">BF16 terms of a router weight.</param>
    /// <param name="maxSharedBytes">What a block may have.</param>
    public static RouterClusters? For(int tokens, MoeLayerShape shape, int terms, int maxSharedBytes)
    {
        int tileBits = Math.Clamp(BitOperations.Log2((uint)tokens - 1) + 1, OwnBits, MaxTileBits);
        while (tileBits > OwnBits && Shared(tileBits, shape, terms) > maxSharedBytes)
        {
            tileBits--;
        }

        int shared = Shared(tileBits, shape, terms);
        return shape.ExpertCount <= Rows && shared <= maxSharedBytes
            ? new RouterClusters(tileBits, Math.Min(MaxPartBits, WarpBits + OwnBits - tileBits), (tokens + (1 << tileBits) - 1) >> tileBits, shared)
            : null;
    }

    private static int Shared(int tileBits, MoeLayerShape shape, int terms)
    {
        int slices = (shape.HiddenSize + 31) / 32;
        int stride = 64 * (((slices + Blocks - 1) / Blocks) | 1);
        int operands = checked(stride * ((terms * Rows) + (1 << tileBits)));
        int received = Rows * Blocks * sizeof(float) << OwnBits;
        return Math.Max(operands, SumBytes) + received + (Rows * sizeof(float)) + (2 * sizeof(long)) + ((sizeof(int) << tileBits) * shape.TopK);
    }
}
