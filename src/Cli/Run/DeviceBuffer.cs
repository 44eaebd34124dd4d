namespace Moe.Plugins.Cli;

/// <summary>A dense matrix in the memory that a backend computes on.</summary>
internal sealed class DeviceBuffer : IDisposable
{
    private readonly IMoeMemory _memory;

    public DeviceBuffer(IMoeMemory memory, MoeElementType type, int rows, int columns)
    {
        _memory = memory;
        long byteCount = (long)rows * columns * type.ByteSize();
        View = new MoeTensorView(memory.Allocate(Math.Max(byteCount, 1)), memory.Device, type, rows, columns);
    }

    public MoeTensorView View { get; }

    /// <summary>Enqueues a copy of a dense host tensor of the same width to the first rows.</summary>
    public void CopyIn(MoeTensorView host, nint stream) => _memory.CopyIn(View.Address, host.Address, host.Rows * host.RowBytes, stream);

    /// <summary>Enqueues a copy of the first rows to a dense host tensor of the same width.</summary>
    public void CopyOut(MoeTensorView host, nint stream) => _memory.CopyOut(host.Address, View.Address, host.Rows * host.RowBytes, stream);

    public void Dispose() => _memory.Free(View.Address);
}
