namespace Moe.Plugins.Cli;

/// <summary>A dense matrix in the memory that a backend computes on, which is copied in the order of a stream.</summary>
internal sealed class DeviceBuffer(IMoeMemory memory, MoeElementType type, int rows, int columns) : MoeBuffer(memory, type, rows, columns)
{
    private readonly IMoeMemory _memory = memory;

    /// <summary>Enqueues a copy of a dense host tensor of the same width to the first rows.</summary>
    public void CopyIn(MoeTensorView host, nint stream) => _memory.CopyIn(View.Address, host.Address, host.Rows * host.RowBytes, stream);

    /// <summary>Enqueues a copy of the first rows to a dense host tensor of the same width.</summary>
    public void CopyOut(MoeTensorView host, nint stream) => _memory.CopyOut(host.Address, View.Address, host.Rows * host.RowBytes, stream);
}
