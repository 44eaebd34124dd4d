using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Copies a checkpoint's MXFP4 experts to the device and repacks them there.</summary>
internal sealed class Mxfp4Loader : DeviceArena
{
    private const int Threads = 256;
    private const int WarpsPerBlock = Threads / 32;

    private readonly CudaFunction _factors;
    private readonly CudaFunction _repack;
    private readonly ExpertStaging _staging;
    private readonly int _experts;
    private readonly nint _any;

    /// <summary>Makes a loader with room for a layer's largest expert.</summary>
    /// <param name="library">The backend's kernels; its context must be current.</param>
    /// <param name="shape">The layer's shape.</param>
    public Mxfp4Loader(KernelLibrary library, MoeLayerShape shape)
        : base(library.Context)
    {
        _factors = library.Get(Unit, "moe_mxfp4_factors");
        _repack = library.Get(Unit, "moe_mxfp4_repack");
        long largest = 2L * shape.IntermediateSize * shape.HiddenSize;
        _experts = shape.LocalExpertCount;
        _staging = Add(new ExpertStaging(library.Context, _experts, (largest / 2) + (largest / Mxfp4Layout.BlockSize)));
        _any = Allocate(sizeof(int));
    }

    /// <summary>The source of its kernels.</summary>
    public static KernelUnit Unit { get; } = new("mxfp4_load.cu");

    /// <summary>Loads all experts of a matrix.</summary>
    /// <param name="target">Where to.</param>
    /// <param name="source">The checkpoint's tensors.</param>
    /// <param name="progress">Told the number of experts that are loaded; may be null.</param>
    /// <param name="cancellationToken">Ends a long load early.</param>
    public void Load(Mxfp4Matrix target, MoeExpertMatrix source, Action<int>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(target);
        var reader = new MoeExpertReader(source, MoeWeightFormat.Mxfp4, target.Rows, target.Depth);
        target.LoadBias(reader, _experts);
        CudaMemory.Fill(_any, 0, sizeof(int), 0);
        _staging.LoadMxfp4(_experts, reader, (expert, codes, scales) => Repack(target, expert, codes, scales), progress, cancellationToken);
        target.HasFactors = ReadAny() != 0;
    }

    private static int Ceiling(int count, int size) => (count + size - 1) / size;

    private void Repack(Mxfp4Matrix target, int expert, nint codes, nint scales)
    {
        var factors = new FactorParameters
        {
            Scales = scales,
            Factor = target.ExpertFactors(expert),
            Any = _any,
            Rows = target.Rows,
            Depth = target.Depth,
        };
        _factors.Launch(new CudaLaunchConfig(Ceiling(target.Rows, WarpsPerBlock), Threads), 0, in factors);
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
        _repack.Launch(new CudaLaunchConfig(grid, Threads), 0, in repack);
    }

    private int ReadAny()
    {
        int[] any = new int[1];
        CudaMemory.Download<int>(any, _any);
        return any[0];
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
