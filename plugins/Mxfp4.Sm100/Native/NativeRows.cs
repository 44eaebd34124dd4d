using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>Rows of MXFP8 on the device, padded: E4M3 codes [rows, columns] and their scales in linear order.</summary>
internal sealed class NativeRows : DeviceArena
{
    /// <summary>Allocates.</summary>
    /// <param name="context">The context, which must be current.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Codes of a row, a multiple of 256.</param>
    /// <param name="boxRows">Rows that one copy brings: 1 where it gathers.</param>
    public NativeRows(CudaContext context, int rows, int columns, int boxRows)
        : base(context)
    {
        Columns = columns;
        Codes = Allocate((long)rows * columns);
        Scales = Allocate(Mxfp8Layout.ScaleBytes(rows, columns, Mxfp8ScaleOrder.Linear));
        Map = CudaTensorMap.Tiled(
            CudaTensorMapDataType.UInt8,
            Codes,
            [(ulong)columns, (ulong)rows],
            [(ulong)columns],
            [NativeLayout.StepDepth, (uint)boxRows],
            CudaTensorMapSwizzle.Swizzle128B);
    }

    public int Columns { get; }

    public nint Codes { get; }

    public nint Scales { get; }

    /// <summary>How TMA finds one step of some rows.</summary>
    public CudaTensorMap Map { get; }
}
