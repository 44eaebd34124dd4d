namespace Moe.Plugins.Collectives;

/// <summary>Rows of a few bytes, as <c>gather.cu</c> takes them: in pieces, a thread each, that travel in slots of twice their bytes.</summary>
internal static class ShortRow
{
    /// <summary>The most bytes of one: ids or weights of 32 experts.</summary>
    public const int MostBytes = 128;

    /// <summary>Of a block.</summary>
    public const int Threads = 128;

    private const int PieceBytes = 8;
    private const int PieceSlotBytes = 16;

    /// <summary>Bytes of a row's slot.</summary>
    public static int SlotBytes(int rowBytes) => (rowBytes + PieceBytes - 1) / PieceBytes * PieceSlotBytes;

    /// <summary>Blocks that have a thread for each piece of rows whose slots have so many bytes.</summary>
    public static int Blocks(int rows, int slotBytes) => (int)((((long)rows * (slotBytes / PieceSlotBytes)) + Threads - 1) / Threads);
}
