using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>
/// One MXFP4 weight matrix of all experts on the device, in the layout of <see cref="Mxfp4Layout"/>: the model's own sizes, rounded up to
/// whole bands of 64 rows by 64 inputs, so that whatever a backend's sizes are padded to costs neither memory nor reads.
/// </summary>
public sealed class Mxfp4Matrix : DeviceArena
{
    private readonly nint _factors;
    private readonly Dictionary<Mxfp4Variant, CudaTensorMap> _tileMaps = [];
    private bool _hasFactors;

    /// <summary>Allocates.</summary>
    /// <param name="context">The context, which must be current.</param>
    /// <param name="experts">Number of experts.</param>
    /// <param name="rows">Weight rows (outputs), a multiple of 16.</param>
    /// <param name="depth">Inputs, a multiple of 32.</param>
    /// <param name="isGateUp">Whether gates and ups are interleaved weight rows, which a group parts.</param>
    public Mxfp4Matrix(CudaContext context, int experts, int rows, int depth, bool isGateUp)
        : base(context)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(experts);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(depth);
        Experts = experts;
        Rows = rows;
        Depth = depth;
        IsGateUp = isGateUp;
        Groups = Allocate(experts * Mxfp4Layout.ExpertBytes(rows, depth));
        _factors = Allocate((long)experts * rows * sizeof(float));
        AnyFactors = Upload<int>([0]);
        if (context.Device.Architecture.HasWgmma)
        {
            foreach (Mxfp4Variant variant in Mxfp4Variant.All.Where(variant => variant.Kind == Mxfp4Kind.Grouped))
            {
                _tileMaps[variant] = StageMap(Mxfp4GroupedTile.StepsOf(variant), variant.Rows);
            }
        }
    }

    /// <summary>Number of experts.</summary>
    public int Experts { get; }

    /// <summary>Weight rows.</summary>
    public int Rows { get; }

    /// <summary>Inputs.</summary>
    public int Depth { get; }

    /// <summary>Whether gates and ups are interleaved weight rows.</summary>
    public bool IsGateUp { get; }

    /// <summary>The groups' device address.</summary>
    public nint Groups { get; }

    /// <summary>[experts, rows] float32: the rows' own factors; 0 where all are 1.</summary>
    public nint Factors => _hasFactors ? _factors : 0;

    /// <summary>[experts, rows] float32, or 0 where the layer has none.</summary>
    public nint Bias { get; private set; }

    /// <summary>[1] int32: what the loading kernels set where a row has a factor that is not 1.</summary>
    internal nint AnyFactors { get; }

    /// <summary>One expert's groups.</summary>
    public nint Expert(int expert)
    {
        RequireExpert(expert);
        return checked((nint)(Groups + (expert * Mxfp4Layout.ExpertBytes(Rows, Depth))));
    }

    /// <summary>One expert's factors, where all are kept while loading.</summary>
    public nint ExpertFactors(int expert)
    {
        RequireExpert(expert);
        return checked((nint)(_factors + ((long)expert * Rows * sizeof(float))));
    }

    /// <summary>The same for a variant's tile.</summary>
    internal CudaTensorMap TileMap(Mxfp4Variant variant) => _tileMaps[variant];

    /// <summary>Makes room for the biases of a matrix, if it has some.</summary>
    /// <returns>Their address; 0 where there are none.</returns>
    internal nint AllocateBias(MoeExpertReader reader) => Bias = ExpertPieces.AllocateBias(this, reader, Experts);

    /// <summary>Looks whether loading has found any factors.</summary>
    internal void FindFactors()
    {
        int[] any = new int[1];
        CudaMemory.Download<int>(any, AnyFactors);
        _hasFactors = any[0] != 0;
    }

    /// <summary>How TMA finds one stage's groups of a tile.</summary>
    /// <param name="steps">Steps of 64 inputs.</param>
    /// <param name="rows">Weight rows, a multiple of 64.</param>
    public CudaTensorMap StageMap(int steps, int rows)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(steps);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rows);
        ulong groups = (ulong)Mxfp4Layout.Steps(Depth) * Mxfp4Layout.BandGroups;
        ulong band = groups * Mxfp4Layout.GroupBytes;
        ulong bands = (ulong)Mxfp4Layout.Bands(Rows);
        return CudaTensorMap.Tiled(
            CudaTensorMapDataType.UInt32,
            Groups,
            [Mxfp4Layout.GroupBytes / sizeof(uint), groups, bands, (ulong)Experts],
            [Mxfp4Layout.GroupBytes, band, bands * band],
            [Mxfp4Layout.GroupBytes / sizeof(uint), (uint)(steps * Mxfp4Layout.BandGroups), (uint)(rows / Mxfp4Layout.BandRows), 1],
            CudaTensorMapSwizzle.None,
            CudaTensorMapL2Promotion.Bytes256);
    }

    private void RequireExpert(int expert)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(expert);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(expert, Experts);
    }
}
