namespace Moe.Plugins.Kernels;

/// <summary>How the router's work is divided among thread blocks, for a number of tokens.</summary>
/// <param name="TokenTile">Tokens of a block, 8 or 32: which of the two kernels runs.</param>
/// <param name="ExpertWarps">Warps of a block that stand side by side along the experts.</param>
/// <param name="X">Blocks along the tokens.</param>
/// <param name="Y">Blocks along the experts.</param>
/// <param name="Z">Parts of the inner dimension.</param>
internal readonly record struct RouterGrid(int TokenTile, int ExpertWarps, int X, int Y, int Z)
{
    /// <summary>Few tokens get narrow blocks, so that the inner dimension is read by many of them at once.</summary>
    private const int FewTokens = 64;
    private const int ExpertsPerWarp = 16;

    public static RouterGrid For(int tokens, int experts, int multiprocessors)
    {
        int tile = tokens <= FewTokens ? 8 : 32;
        int groups = (experts + ExpertsPerWarp - 1) / ExpertsPerWarp;
        int warps = tile == 8 ? 1 : (int)Math.Min(8, System.Numerics.BitOperations.RoundUpToPowerOf2((uint)groups));
        int x = (tokens + tile - 1) / tile;
        int y = (experts + (ExpertsPerWarp * warps) - 1) / (ExpertsPerWarp * warps);
        return new RouterGrid(tile, warps, x, y, tile == 8 ? Math.Clamp(multiprocessors / (x * y), 1, 4) : Math.Clamp(2 * multiprocessors / (x * y), 1, 8));
    }

    /// <summary>The most that Z × tokens can be, up to so many tokens: what sizes the buffer of partial logits.</summary>
    public static long MaxPartialRows(int maxTokens, int experts, int multiprocessors)
    {
        long most = 0;
        for (int tokens = 1; tokens <= maxTokens; tokens++)
        {
            most = Math.Max(most, (long)tokens * For(tokens, experts, multiprocessors).Z);
        }

        return most;
    }
}
