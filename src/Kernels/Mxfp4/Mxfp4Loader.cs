using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Brings a checkpoint's MXFP4 experts to the device and repacks them there.</summary>
/// <param name="library">The backend's kernels; its context must be current.</param>
internal sealed class Mxfp4Loader(KernelLibrary library)
{
    private const int Threads = 256;
    private const int WarpsPerBlock = Threads / 32;

    private readonly CudaFunction _factors = library.Get(Unit, "moe_mxfp4_factors");
    private readonly CudaFunction _repack = library.Get(Unit, "moe_mxfp4_repack");

    /// <summary>The source of its kernels.</summary>
    public static KernelUnit Unit { get; } = new("mxfp4_load.cu");

    /// <summary>Loads matrices of all experts.</summary>
    /// <param name="matrices">Where to, and the checkpoint's tensors.</param>
    /// <param name="progress">Told the share that is loaded; may be null.</param>
    /// <param name="cancellationToken">Ends a long load early.</param>
    public void Load(IReadOnlyList<(Mxfp4Matrix Target, MoeExpertMatrix Source)> matrices, IProgress<double>? progress, CancellationToken cancellationToken)
    {
        library.Lanes.Load([.. matrices.SelectMany(matrix => Pieces(matrix.Target, matrix.Source))], progress, cancellationToken);
        foreach ((Mxfp4Matrix target, _) in matrices)
        {
            target.FindFactors();
        }
    }

    private IEnumerable<WeightPiece> Pieces(Mxfp4Matrix target, MoeExpertMatrix source)
    {
        var reader = new MoeExpertReader(source, MoeWeightFormat.Mxfp4, target.Rows, target.Depth);
        return ExpertPieces.Mxfp4(
            reader, target.Experts, target.AllocateBias(reader), (expert, codes, scales, stream) => Repack(target, expert, codes, scales, stream));
    }

    private static int Ceiling(int count, int size) => (count + size - 1) / size;

    private void Repack(Mxfp4Matrix target, int expert, nint codes, nint scales, nint stream)
    {
        var factors = new FactorParameters
        {
            Scales = scales,
            Factor = target.ExpertFactors(expert),
            Any = target.AnyFactors,
            Rows = target.Rows,
            Depth = target.Depth,
        };
        _factors.Launch(new CudaLaunchConfig(Ceiling(target.Rows, WarpsPerBlock), Threads), stream, in factors);
        var repack = new RepackParameters
        {
            Codes = codes,
            Scales = scales,
            Factor = target.ExpertFactors(expert),
            Out = target.Expert(expert),
            Rows = target.Rows,
            Depth = target.Depth,
            GateUp = target.IsGateUp ? 1 : 0,
        };
        var grid = new CudaDim3(Ceiling(Mxfp4Layout.Steps(target.Depth), WarpsPerBlock), target.Rows / Mxfp4Layout.GroupRows);
        _repack.Launch(new CudaLaunchConfig(grid, Threads), stream, in repack);
    }

    /// <summary>As in <c>mxfp4_load.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct FactorParameters
    {
        public nint Scales;
        public nint Factor;
        public nint Any;
        public int Rows;
        public int Depth;
    }

    /// <summary>As in <c>mxfp4_load.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct RepackParameters
    {
        public nint Codes;
        public nint Scales;
        public nint Factor;
        public nint Out;
        public int Rows;
        public int Depth;
        public int GateUp;
    }
}
