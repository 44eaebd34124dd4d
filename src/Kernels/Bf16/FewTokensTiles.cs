namespace Moe.Plugins.Kernels;

/// <summary>How a product of <c>few_tokens.cuh</c> is divided into tiles.</summary>
/// <param name="ColumnTiles">Columns of the matrix instruction that a tile has: 1 or 2, which the kernels are compiled for.</param>
/// <param name="TokenTiles">Tiles of tokens.</param>
/// <param name="RowWarps">Warps of a block that stand side by side along the rows; the others divide the inner dimension.</param>
internal readonly record struct FewTokensTiles(int ColumnTiles, int TokenTiles, int RowWarps)
{
    /// <summary>The most tokens.</summary>
    public const int MaxTokens = 64;

    /// <summary>Tokens of a column tile.</summary>
    public const int TokensPerColumnTile = 8;

    /// <summary>Threads of a block.</summary>
    public const int Threads = 256;

    /// <summary>The most tokens where weights are large: with more they would be read from memory again and again. Small ones are found in L2.</summary>
    private const int MaxTokensOfLarge = 16;
    private const long SmallBytes = 10 << 20;

    private const int RowsPerWarp = 16;
    private const int WordBytes = 16;

    /// <summary>What a wave of tiles may lack of a full one, for rows that are shared by more tokens.</summary>
    private const double FullEnough = 0.9;

    /// <summary>Whether so many tokens run this way, with so many bytes of weights.</summary>
    public static bool Suit(int tokens, long weightBytes) => tokens <= (weightBytes <= SmallBytes ? MaxTokens : MaxTokensOfLarge);

    /// <summary>The tiles of a product with so many rows, and of others with the same tokens.</summary>
    /// <param name="rows">Weight rows.</param>
    /// <param name="tokens">Tokens.</param>
    /// <param name="multiprocessors">Of the device.</param>
    /// <param name="mostColumnTiles">What the kernel is compiled for, 1 or 2.</param>
    public static FewTokensTiles For(int rows, int tokens, int multiprocessors, int mostColumnTiles = 2)
    {
        int columnTiles = tokens <= TokensPerColumnTile ? 1 : mostColumnTiles;
        int tile = columnTiles * TokensPerColumnTile;
        var tiles = new FewTokensTiles(columnTiles, (tokens + tile - 1) / tile, 4);

        // Warps that have other rows of the same tokens save reading these, as long as there are tiles for all multiprocessors.
        while (tiles.RowWarps > 1 && tiles.Count(rows) < FullEnough * multiprocessors)
        {
            tiles = tiles with { RowWarps = tiles.RowWarps / 2 };
        }

        return tiles;
    }

    /// <summary>Tiles of a product with so many rows.</summary>
    public int Count(int rows) => (rows + (RowsPerWarp * RowWarps) - 1) / (RowsPerWarp * RowWarps) * TokenTiles;

    /// <summary><c>FewTokens::kSharedBytes</c>: dynamic shared memory of a block.</summary>
    /// <param name="columnTiles">As above.</param>
    /// <param name="isE4M3">Whether weights are E4M3 with scales; else BF16.</param>
    public static int SharedBytes(int columnTiles, bool isE4M3 = false)
    {
        // Of a lane's slice, which is 64 bytes of a row: two rows, tokens, scales.
        int words = isE4M3 ? 2 + (2 * columnTiles) + 1 : 2 + columnTiles;
        int slices = isE4M3 ? 4 : columnTiles == 1 ? 6 : 5;
        return ((words * slices) + columnTiles) * Threads * WordBytes;
    }
}
