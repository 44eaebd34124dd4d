using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>A matrix as the FP8 products read it: its codes dealt for E4M3, and each row's largest scale and factor (<c>mxfp4_fp8_load.cu</c>).</summary>
internal sealed class Fp8Matrix : DeviceArena
{
    private const int Threads = 256;
    private const int WarpsPerBlock = Threads / 32;
    private const int DealBlocks = 1024;

    /// <summary>Allocates, finds out, and deals the matrix's codes anew: no other products read them then. The context must be current.</summary>
    /// <param name="library">The backend's kernels.</param>
    /// <param name="experts">Experts.</param>
    /// <param name="matrix">The matrix, loaded.</param>
    public Fp8Matrix(KernelLibrary library, int experts, Mxfp4Matrix matrix)
        : base(library.Context)
    {
        Matrix = matrix;
        Stage = matrix.StageMap(Fp8Tile.Chunk / Mxfp4Layout.GroupDepth, Fp8Tile.Rows);
        long rows = (long)experts * matrix.Rows;
        Factors = Allocate(rows * sizeof(float));
        Largest = Allocate(rows);
        long bands = (long)experts * Mxfp4Layout.Bands(matrix.Rows);
        IsSplit = Allocate(bands);
        nint splits = Allocate(sizeof(int));
        CudaMemory.Fill(IsSplit, 0, bands, 0);
        CudaMemory.Fill(splits, 0, sizeof(int), 0);
        var parameters = new Parameters
        {
            Groups = matrix.Groups,
            Factor = matrix.Factors,
            OutFactor = Factors,
            Largest = Largest,
            IsSplit = IsSplit,
            Splits = splits,
            Rows = matrix.Rows,
            Depth = matrix.Depth,
            GateUp = matrix.IsGateUp ? 1 : 0,
        };
        int groups = matrix.Rows / Mxfp4Layout.GroupRows;
        var grid = new CudaDim3((groups + WarpsPerBlock - 1) / WarpsPerBlock, experts);
        library.Get(Unit, "moe_mxfp4_fp8_rows").Launch(new CudaLaunchConfig(grid, Threads), 0, in parameters);
        int[] count = new int[1];
        CudaMemory.Download<int>(count, splits);
        SplitRows = count[0];
        var deal = new DealParameters { Groups = matrix.Groups, Count = experts * Mxfp4Layout.ExpertBytes(matrix.Rows, matrix.Depth) / Mxfp4Layout.GroupBytes };
        library.Get(Unit, "moe_mxfp4_fp8_deal").Launch(new CudaLaunchConfig(new CudaDim3(DealBlocks), Threads), 0, in deal);
    }

    /// <summary>The source of the kernel.</summary>
    public static KernelUnit Unit { get; } = new("mxfp4_fp8_load.cu");

    /// <summary>The matrix itself.</summary>
    public Mxfp4Matrix Matrix { get; }

    /// <summary>How TMA finds one stage's groups.</summary>
    public CudaTensorMap Stage { get; }

    /// <summary>[experts, rows] float32.</summary>
    public nint Factors { get; }

    /// <summary>[experts, rows] bytes.</summary>
    public nint Largest { get; }

    /// <summary>[experts, bands] bytes.</summary>
    public nint IsSplit { get; }

    /// <summary>Rows of all experts whose scales span more than E4M3 holds: their bands are multiplied 32 inputs at a time.</summary>
    public int SplitRows { get; }

    /// <summary>As in <c>mxfp4_fp8_load.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct DealParameters
    {
        public nint Groups;
        public long Count;
    }

    /// <summary>As in <c>mxfp4_fp8_load.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Parameters
    {
        public nint Groups;
        public nint Factor;
        public nint OutFactor;
        public nint Largest;
        public nint IsSplit;
        public nint Splits;
        public int Rows;
        public int Depth;
        public int GateUp;
    }
}
