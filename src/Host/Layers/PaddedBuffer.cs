namespace Moe.Plugins;

/// <summary>A buffer of the host's in a backend's memory, as wide as the method wants its rows.</summary>
internal sealed class PaddedBuffer : IDisposable
{
    private readonly IMoeMemory _memory;
    private nint _address;

    public PaddedBuffer(IMoeMemory memory, int rows, int columns, MoeElementType elementType, bool zeroed)
    {
        _memory = memory;
        long bytes = checked((long)rows * columns * elementType.ByteSize());
        _address = memory.Allocate(bytes);
        View = new MoeTensorView(_address, memory.Device, elementType, rows, columns);
        if (!zeroed)
        {
            return;
        }

        try
        {
            // Once is enough: every later copy writes the logical columns only. Waiting makes it visible to whatever stream comes.
            memory.Zero(_address, bytes, stream: 0);
            memory.Synchronize(stream: 0);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public MoeTensorView View { get; }

    public void Dispose()
    {
        _memory.Free(_address);
        _address = 0;
    }
}
