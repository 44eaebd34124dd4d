using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>Brings a checkpoint's MXFP4 experts to the device and into the native layout there.</summary>
/// <param name="library">The backend's kernels; its context must be current.</param>
internal sealed class NativeLoader(KernelLibrary library)
{
    private const int CodeThreads = 256;
    private const int ScaleThreads = 128;

    private readonly CudaFunction _codes = library.Get(Unit, "moe_native_load_codes");
    private readonly CudaFunction _scales = library.Get(Unit, "moe_native_load_scales");

    public static KernelUnit Unit { get; } = new("native_load.cu");

    /// <summary>Loads matrices of all experts.</summary>
    public void Load(IReadOnlyList<(NativeMatrix Target, MoeExpertMatrix Source)> matrices, IProgress<double>? progress, CancellationToken cancellationToken) =>
        library.Lanes.Load([.. matrices.SelectMany(matrix => Pieces(matrix.Target, matrix.Source))], progress, cancellationToken);

    private IEnumerable<WeightPiece> Pieces(NativeMatrix target, MoeExpertMatrix source)
    {
        var reader = new MoeExpertReader(source, MoeWeightFormat.Mxfp4, target.Rows, target.Depth);
        return ExpertPieces.Mxfp4(
            reader, target.Experts, target.AllocateBias(reader), (expert, codes, scales, stream) => Repack(target, expert, codes, scales, stream));
    }

    private void Repack(NativeMatrix target, int expert, nint codes, nint scales, nint stream)
    {
        var parameters = new Parameters
        {
            Codes = codes,
            Scales = scales,
            OutCodes = target.ExpertCodes(expert),
            OutScales = target.ExpertScales(expert),
            Rows = target.Rows,
            Depth = target.Depth,
            PaddedRows = target.PaddedRows,
            PaddedDepth = target.PaddedDepth,
            Halves = target.Halves,
        };
        int blocks = target.PaddedDepth / Mxfp4Layout.BlockSize;
        _codes.Launch(new CudaLaunchConfig(new CudaDim3((blocks + CodeThreads - 1) / CodeThreads, target.PaddedRows), CodeThreads), stream, in parameters);
        int tiles = target.PaddedRows / NativeLayout.MmaRows * (target.PaddedDepth / NativeLayout.StepDepth);
        _scales.Launch(new CudaLaunchConfig(tiles, ScaleThreads), stream, in parameters);
    }

    /// <summary>As in <c>native_load.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Parameters
    {
        public nint Codes;
        public nint Scales;
        public nint OutCodes;
        public nint OutScales;
        public int Rows;
        public int Depth;
        public int PaddedRows;
        public int PaddedDepth;
        public int Halves;
    }
}
