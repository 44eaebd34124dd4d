using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>Rows of MXFP8 on the device, padded: E4M3 codes [rows, columns] and their scales in linear order.</summary>
internal sealed class NativeRows : IDisposable
{
    private readonly DeviceArray _codes;
    private readonly DeviceArray _scales;

    /// <summary>Allocates.</summary>
    /// <param name="context">The context, which must be current.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Codes of a row, a multiple of 256.</param>
    /// <param name="boxRows">Rows that one copy of the engine brings: 1 where it gathers.</param>
    public NativeRows(CudaContext context, int rows, int columns, int boxRows)
    {
        Columns = columns;
        _codes = new DeviceArray(context, (long)rows * columns);
        _scales = new DeviceArray(context, Mxfp8Layout.ScaleBytes(rows, columns, Mxfp8ScaleOrder.Linear));
        Map = CudaTensorMap.Tiled(
            CudaTensorMapDataType.UInt8,
            _codes.Address,
            [(ulong)columns, (ulong)rows],
            [(ulong)columns],
            [NativeLayout.StepDepth, (uint)boxRows],
            CudaTensorMapSwizzle.Swizzle128B);
    }

    public int Columns { get; }

    public nint Codes => _codes.Address;

    public nint Scales => _scales.Address;

    /// <summary>How the copy engine finds one step of some rows.</summary>
    public CudaTensorMap Map { get; }

    public long ByteCount => _codes.ByteCount + _scales.ByteCount;

    public void Dispose()
    {
        _codes.Dispose();
        _scales.Dispose();
    }
}
