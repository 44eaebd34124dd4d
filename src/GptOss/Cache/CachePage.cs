using Moe.Plugins.Cpu;

namespace Moe.Plugins.GptOss;

/// <summary>Keys and values of some adjacent positions in one layer: for each key-value head [positions][head], keys before values.</summary>
internal sealed unsafe class CachePage : IDisposable
{
    /// <summary>Positions of a page.</summary>
    public const int Positions = 128;

    private readonly NativeBuffer _buffer;
    private readonly long _headBytes;
    private readonly int _heads;

    public CachePage(int heads, int rowBytes)
    {
        _heads = heads;
        RowBytes = rowBytes;
        _headBytes = (long)Positions * rowBytes;
        _buffer = new NativeBuffer(ByteCountOf(heads, rowBytes));
    }

    /// <summary>Bytes from one position to the next.</summary>
    public int RowBytes { get; }

    /// <summary>Bytes of a page.</summary>
    public static long ByteCountOf(int heads, int rowBytes) => 2L * heads * Positions * rowBytes;

    /// <summary>Position 0 of a head's keys.</summary>
    public byte* Keys(int head) => _buffer.Pointer<byte>() + (head * _headBytes);

    /// <summary>Position 0 of a head's values.</summary>
    public byte* Values(int head) => _buffer.Pointer<byte>() + ((_heads + head) * _headBytes);

    public void Dispose() => _buffer.Dispose();
}
