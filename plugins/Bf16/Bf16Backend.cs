using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>Runs layers with BF16 weights on CUDA devices from compute capability 8.0 on; MXFP4 weights are widened at load.</summary>
internal sealed class Bf16Backend(IMoePluginContext context) : CudaBackend(context)
{
    /// <summary>Sizes are read in pieces of 16 bytes.</summary>
    private const int SizeUnit = 8;
    private const int NativeScore = 220;

    /// <summary>MXFP4 weights run, but four times as many bytes are read as they have.</summary>
    private const int WideningScore = 120;

    private static readonly CudaArchitecture Oldest = new(8, 0);

    public override MoeProbeResult Probe(MoeProbeRequest request)
    {
        if (RefuseShape(request.Shape) is string refusal)
        {
            return MoeProbeResult.Unsupported(MoeReason.Shape, refusal);
        }

        MoeProbeResult? noDevice = CudaDeviceChoice.Find(request.Device, Oldest, out CudaDevice? device);
        if (noDevice is not null)
        {
            return noDevice;
        }

        bool isNative = request.Shape.WeightFormat == MoeWeightFormat.BFloat16;
        string kernels = WgmmaProducts.RunOn(device!.Architecture)
            ? "tuned for this device"
            : $"compiled for {device.Architecture}, on which they have not been timed";
        return MoeProbeResult.Supported(
            MoeDevice.Cuda(device.Ordinal),
            device.Name,
            isNative ? NativeScore : WideningScore,
            isNative ? $"kernels {kernels}" : $"MXFP4 weights are widened to BF16 at load; kernels {kernels}");
    }

    public override IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request)
    {
        if (RefuseShape(request.Shape) is string refusal)
        {
            throw new MoeException(MoeReason.Shape, refusal);
        }

        int ordinal = request.Device?.Ordinal ?? 0;
        return new Bf16Method(() => Library(ordinal), request.Shape);
    }

    protected override IEnumerable<KernelUnit> Units(CudaArchitecture architecture) => Bf16Engine.Units(architecture);

    private static string? RefuseShape(MoeLayerShape shape) =>
        shape.HiddenSize % SizeUnit != 0 || shape.IntermediateSize % SizeUnit != 0
            ? $"hidden {shape.HiddenSize} and intermediate {shape.IntermediateSize} must be multiples of {SizeUnit}"
            : RefuseRouting(shape);
}
