using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>One MXFP4 weight matrix of all experts on the device, in the layout of <see cref="NativeLayout"/>, padded with zeros.</summary>
internal sealed class NativeMatrix : DeviceArena
{
    private readonly nint _codes;

    /// <summary>Allocates.</summary>
    /// <param name="context">The context, which must be current.</param>
    /// <param name="experts">Number of experts.</param>
    /// <param name="rows">Weight rows (outputs) of the model, and of the layout.</param>
    /// <param name="depth">Inputs of the model, and of the layout.</param>
    /// <param name="halves">Accumulators of a tile: 2 where gates and ups are parted.</param>
    public NativeMatrix(CudaContext context, int experts, (int Model, int Padded) rows, (int Model, int Padded) depth, int halves)
        : base(context)
    {
        Experts = experts;
        Rows = rows.Model;
        PaddedRows = rows.Padded;
        Depth = depth.Model;
        PaddedDepth = depth.Padded;
        Halves = halves;
        _codes = Allocate(experts * ExpertCodeBytes);
        Scales = Allocate(experts * ExpertScaleBytes);
        ulong row = (ulong)PaddedDepth / 2;
        Map = CudaTensorMap.Tiled(
            CudaTensorMapDataType.Packed16U4Align16,
            _codes,
            [(ulong)PaddedDepth, (ulong)PaddedRows, (ulong)experts],
            [row, (ulong)PaddedRows * row],
            [NativeLayout.StepDepth, (uint)(NativeLayout.MmaRows * halves), 1],
            CudaTensorMapSwizzle.Swizzle128B,
            CudaTensorMapL2Promotion.Bytes256);
    }

    public int Experts { get; }

    public int Rows { get; }

    public int PaddedRows { get; }

    public int Depth { get; }

    public int PaddedDepth { get; }

    public int Halves { get; }

    /// <summary>How TMA finds one step of a tile's codes, which it unpacks to 16 bytes for each 16.</summary>
    public CudaTensorMap Map { get; }

    public nint Scales { get; }

    /// <summary>[experts, rows] float32, or 0 where the layer has none.</summary>
    public nint Bias { get; private set; }

    private long ExpertCodeBytes => (long)PaddedRows * PaddedDepth / 2;

    private long ExpertScaleBytes => (long)PaddedRows * PaddedDepth / Mxfp4Layout.BlockSize;

    public nint ExpertCodes(int expert) => checked((nint)(_codes + (expert * ExpertCodeBytes)));

    public nint ExpertScales(int expert) => checked((nint)(Scales + (expert * ExpertScaleBytes)));

    /// <summary>Makes room for the biases of a matrix, if it has some.</summary>
    /// <returns>Their address; 0 where there are none.</returns>
    public nint AllocateBias(MoeExpertReader reader) => Bias = ExpertPieces.AllocateBias(this, reader, Experts);
}
