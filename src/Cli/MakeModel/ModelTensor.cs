using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.Cli;

/// <summary>A tensor that is made while it is written.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">BF16 or U8.</param>
/// <param name="Shape">Sizes, outermost first.</param>
/// <param name="Fill">Fills the next bytes of it; called in order, from the first to the last.</param>
internal sealed record ModelTensor(string Name, SafetensorsType Type, long[] Shape, Action<Span<byte>> Fill)
{
    private const int PieceBytes = 1 << 20;

    public long ByteCount => Shape.Aggregate(Type == SafetensorsType.BF16 ? 2L : 1L, (product, size) => product * size);

    /// <summary>Writes all bytes.</summary>
    public void Write(Stream stream, CancellationToken cancellationToken)
    {
        byte[] piece = new byte[Math.Min(PieceBytes, ByteCount)];
        for (long left = ByteCount; left > 0; left -= piece.Length)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Span<byte> bytes = piece.AsSpan(0, (int)Math.Min(piece.Length, left));
            Fill(bytes);
            stream.Write(bytes);
        }
    }
}
