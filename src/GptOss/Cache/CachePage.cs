using Moe.Plugins.Cpu;

namespace Moe.Plugins.GptOss;

/// <summary>
/// Keys and values of some adjacent positions in one layer, all keys before all values. A head's values are [positions][head]; its keys
/// lie in tiles, [positions / 32][head][32], so that a vector holds neighbouring positions and scores need no sum across it.
/// </summary>
internal sealed unsafe class CachePage : IDisposable
{
    /// <summary>Positions of a page.</summary>
    public const int Positions = 128;

    /// <summary>Positions of a tile of keys: whole vectors of either type, two at a time.</summary>
    public const int TilePositions = 32;

    private readonly NativeBuffer _buffer;
    private readonly long _headBytes;
    private readonly int _heads;

    public CachePage(int heads, int rowBytes)
    {
        _heads = heads;
        _headBytes = (long)Positions * rowBytes;
        _buffer = new NativeBuffer(ByteCountOf(heads, rowBytes));
    }

    /// <summary>Bytes of a page.</summary>
    public static long ByteCountOf(int heads, int rowBytes) => 2L * heads * Positions * rowBytes;

    /// <summary>A head's keys.</summary>
    public byte* Keys(int head) => _buffer.Pointer<byte>() + (head * _headBytes);

    /// <summary>A head's values.</summary>
    public byte* Values(int head) => _buffer.Pointer<byte>() + ((_heads + head) * _headBytes);

    public void Dispose() => _buffer.Dispose();
}
