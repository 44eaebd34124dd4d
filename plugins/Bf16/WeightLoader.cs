using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>Copies a checkpoint's experts to the device and widens or transposes them there.</summary>
internal sealed class WeightLoader : DeviceArena
{
    private const int Threads = 256;
    private const int TransposeTile = 32;

    private static readonly KernelUnit Source = new("load.cu");

    private readonly CudaFunction _widen;
    private readonly CudaFunction _transpose;
    private readonly nint _staging;

    /// <summary>Makes a loader with room for the largest expert of a layer.</summary>
    public WeightLoader(KernelLibrary library, MoeLayerShape shape)
        : base(library.Context)
    {
        _widen = library.Get(Source, "bf16_load_widen");
        _transpose = library.Get(Source, "bf16_load_transpose");
        _staging = Allocate(2L * shape.IntermediateSize * shape.HiddenSize * sizeof(ushort));
    }

    public static KernelUnit Unit => Source;

    /// <summary>Loads one expert's matrix; the copy has left the host's memory when this returns.</summary>
    public void Load(Bf16Matrix target, MoeExpertMatrix source, int expert)
    {
        if (source.Values.ElementType == MoeElementType.UInt8)
        {
            Widen(target, source, expert);
        }
        else if (source.Order == MoeMatrixOrder.InputMajor)
        {
            HostTensors.Upload(_staging, source.Values, expert);
            var parameters = new TransposeParameters
            {
                Source = _staging,
                Out = target.Expert(expert),
                Inputs = target.Inputs,
                Rows = target.Rows,
            };
            _transpose.Launch(
                new CudaLaunchConfig(
                    new CudaDim3(Ceiling(target.Rows, TransposeTile), Ceiling(target.Inputs, TransposeTile)),
                    new CudaDim3(TransposeTile, Threads / TransposeTile)),
                0,
                in parameters);
        }
        else
        {
            HostTensors.Upload(target.Expert(expert), source.Values, expert);
        }
    }

    private static int Ceiling(int count, int size) => (count + size - 1) / size;

    private void Widen(Bf16Matrix target, MoeExpertMatrix source, int expert)
    {
        long blocks = (long)source.Scales.Rows * source.Scales.Columns;
        nint scales = checked((nint)(_staging + (blocks * Mxfp4Layout.BlockSize / 2)));
        HostTensors.Upload(_staging, source.Values, expert);
        HostTensors.Upload(scales, source.Scales, expert);
        var parameters = new WidenParameters { Blocks = _staging, Scales = scales, Out = target.Expert(expert), Count = blocks };
        _widen.Launch(new CudaLaunchConfig(checked((int)((blocks + Threads - 1) / Threads)), Threads), 0, in parameters);
    }

    /// <summary>As in <c>load.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct WidenParameters
    {
        public nint Blocks;
        public nint Scales;
        public nint Out;
        public long Count;
    }

    /// <summary>As in <c>load.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct TransposeParameters
    {
        public nint Source;
        public nint Out;
        public int Inputs;
        public int Rows;
    }
}
