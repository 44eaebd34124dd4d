using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>Runs layers with MXFP4 weights and MXFP8 activations, from the caller's unpadded rows to the caller's unpadded rows.</summary>
internal sealed class Sm100Backend(IMoePluginContext context) : CudaBackend(context)
{
    private static readonly CudaArchitecture Oldest = new(8, 0);

    public override MoeProbeResult Probe(MoeProbeRequest request)
    {
        if (RefuseShape(request.Shape) is string refusal)
        {
            return MoeProbeResult.Unsupported(MoeReason.Shape, refusal);
        }

        MoeProbeResult? noDevice = CudaDeviceChoice.Find(request.Device, Oldest, out CudaDevice? device);
        return noDevice ?? MoeProbeResult.Unsupported(
            MoeReason.DeviceUnsupported, $"it has no matrix products for {device!.Architecture}; its quantiser alone runs there");
    }

    public override IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) =>
        throw new MoeException(MoeReason.DeviceUnsupported, "It has no matrix products yet.");

    protected override IEnumerable<KernelUnit> Units(CudaArchitecture architecture) =>
        [.. RoutingKernels.Units, CudaInstruments.Unit, CudaMoeMemory.Unit, Mxfp8Quantizer.Unit];

    private static string? RefuseShape(MoeLayerShape shape) => shape.WeightFormat == MoeWeightFormat.Mxfp4
        ? RefuseRouting(shape)
        : $"the weights are {shape.WeightFormat}, and it reads MXFP4 alone";
}
