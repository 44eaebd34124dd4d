namespace Moe.Plugins.Collectives;

/// <summary>How blocks of threads share a row: a thread has up to eight pieces of 16 bytes.</summary>
/// <param name="RowBytes">Bytes of a row.</param>
/// <param name="Pieces">Pieces of a thread: 1, 2, 4 or 8.</param>
/// <param name="Threads">Threads of a block, a multiple of 32.</param>
internal readonly record struct RowShape(int RowBytes, int Pieces, int Threads)
{
    /// <summary>As in <c>group.cuh</c>.</summary>
    public const int MostRanks = 64;

    private const int PieceBytes = 16;
    private const int MostThreads = 512;
    private const int MostPieces = 8;
    private const int WidthUnit = 8;

    /// <summary>Why no kernel takes such rows; null where one does.</summary>
    public static string? Refuse(MoeGroupRequest request)
    {
        int most = MostThreads * MostPieces * PieceBytes / request.ElementType.ByteSize();
        return request.Width % WidthUnit != 0 ? $"{request.Width} columns are no multiple of {WidthUnit}."
            : request.Width > most ? $"{request.Width} columns of {request.ElementType} are more than the {most} that its kernels take."
            : request.Devices.Count > MostRanks ? $"{request.Devices.Count} ranks are more than the {MostRanks} that its kernels take."
            : null;
    }

    public static RowShape Of(int width, MoeElementType type)
    {
        int bytes = width * type.ByteSize();
        int all = bytes / PieceBytes;
        int pieces = 1;
        while (all > pieces * MostThreads)
        {
            pieces *= 2;
        }

        int threads = (all + pieces - 1) / pieces;
        return new RowShape(bytes, pieces, (threads + 31) / 32 * 32);
    }
}
