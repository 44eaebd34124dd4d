namespace Moe.Plugins.Kernels;

/// <summary>Weights that are read, copied and used together.</summary>
public sealed class WeightPiece
{
    /// <summary>Describes a piece.</summary>
    /// <param name="byteCount">Bytes that are copied, at least 1.</param>
    /// <param name="read">Writes them to an address of the host's; on any thread.</param>
    /// <param name="use">Enqueues on a stream what they become, given their device address and the stream; on any thread, with the context current.</param>
    public WeightPiece(long byteCount, Action<nint> read, Action<nint, nint> use)
    {
        ArgumentNullException.ThrowIfNull(read);
        ArgumentNullException.ThrowIfNull(use);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(byteCount);
        ByteCount = byteCount;
        Read = read;
        Use = use;
    }

    /// <summary>Bytes that are copied.</summary>
    public long ByteCount { get; }

    /// <summary>Writes them to an address of the host's.</summary>
    internal Action<nint> Read { get; }

    /// <summary>Enqueues what they become.</summary>
    internal Action<nint, nint> Use { get; }
}
