namespace Moe.Plugins;

/// <summary>What two ends of a connection send each other: a length, a kind, a rank, and bytes.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Rank">Whom it is from, where that is of interest.</param>
/// <param name="Payload">The rest.</param>
internal readonly record struct Frame(FrameKind Kind, int Rank, ReadOnlyMemory<byte> Payload)
{
    /// <summary>Bytes of the length, the kind and the rank, little-endian.</summary>
    public const int HeaderBytes = 9;
}
