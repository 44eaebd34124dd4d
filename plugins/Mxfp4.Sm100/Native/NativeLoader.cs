using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>Copies a checkpoint's MXFP4 experts to the device and brings them into the native layout there.</summary>
internal sealed class NativeLoader : DeviceArena
{
    private const int CodeThreads = 256;
    private const int ScaleThreads = 128;

    private readonly CudaFunction _codes;
    private readonly CudaFunction _scales;
    private readonly ExpertStaging _staging;
    private readonly int _experts;

    /// <summary>Makes a loader with room for a layer's largest expert.</summary>
    public NativeLoader(KernelLibrary library, MoeLayerShape shape)
        : base(library.Context)
    {
        _codes = library.Get(Unit, "moe_native_load_codes");
        _scales = library.Get(Unit, "moe_native_load_scales");
        long values = 2L * shape.IntermediateSize * shape.HiddenSize;
        _experts = shape.LocalExpertCount;
        _staging = Add(new ExpertStaging(library.Context, _experts, (values / 2) + (values / Mxfp4Layout.BlockSize)));
    }

    public static KernelUnit Unit { get; } = new("native_load.cu");

    /// <summary>Loads all experts of a matrix.</summary>
    public void Load(NativeMatrix target, MoeExpertMatrix source, Action<int> progress, CancellationToken cancellationToken)
    {
        var reader = new MoeExpertReader(source, MoeWeightFormat.Mxfp4, target.Rows, target.Depth);
        target.LoadBias(reader, _experts);
        _staging.LoadMxfp4(_experts, reader, (expert, codes, scales) => Repack(target, expert, codes, scales), progress, cancellationToken);
    }

    private void Repack(NativeMatrix target, int expert, nint codes, nint scales)
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
        _codes.Launch(new CudaLaunchConfig(new CudaDim3((blocks + CodeThreads - 1) / CodeThreads, target.PaddedRows), CodeThreads), 0, in parameters);
        int tiles = target.PaddedRows / NativeLayout.MmaRows * (target.PaddedDepth / NativeLayout.StepDepth);
        _scales.Launch(new CudaLaunchConfig(tiles, ScaleThreads), 0, in parameters);
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
