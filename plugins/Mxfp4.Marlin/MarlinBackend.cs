using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Marlin;

/// <summary>Runs layers with MXFP4 weights and BF16 activations on CUDA devices from compute capability 8.0 on.</summary>
/// <remarks>Setting <c>Kernels</c>: one variant (<c>decode8x16</c>, <c>grouped128x192</c>, …) for every number of tokens; without it
/// the fastest is chosen.</remarks>
internal sealed class MarlinBackend : CudaBackend
{
    private const string KernelsSetting = "Kernels";

    /// <summary>Where it was tuned, or where nothing reads MXFP4 weights natively, it comes before all others.</summary>
    private const int TunedScore = 300;

    /// <summary>On devices with an MXFP4 matrix instruction of their own.</summary>
    private const int OtherScore = 200;

    private static readonly CudaArchitecture Oldest = new(8, 0);

    private readonly Mxfp4Variant? _forced;

    public MarlinBackend(IMoePluginContext context)
        : base(context) => _forced = Mxfp4Variant.Read(KernelsSetting, context.Settings.GetValueOrDefault(KernelsSetting));

    public override MoeProbeResult Probe(MoeProbeRequest request)
    {
        if (RefuseShape(request.Shape) is { } refusal)
        {
            return MoeProbeResult.Unsupported(refusal.Reason, refusal.Sentence);
        }

        MoeProbeResult? noDevice = CudaDeviceChoice.Find(request.Device, Oldest, out CudaDevice? device);
        if (noDevice is not null)
        {
            return noDevice;
        }

        CudaArchitecture architecture = device!.Architecture;
        string kernels = architecture.Number == 90
            ? "tuned for this device"
            : $"compiled for {architecture}, on which they have not been timed";
        return MoeProbeResult.Supported(
            MoeDevice.Cuda(device.Ordinal),
            device.Name,
            architecture.Major <= 9 ? TunedScore : OtherScore,
            architecture.Major <= 9
                ? $"MXFP4 weights are read as they are and widened in registers, the least there is to read; kernels {kernels}"
                : $"MXFP4 weights are widened in registers, though this device could multiply them as they are; kernels {kernels}");
    }

    public override IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request)
    {
        if (RefuseShape(request.Shape) is { } refusal)
        {
            throw new MoeException(refusal.Reason, refusal.Sentence);
        }

        int ordinal = request.Device?.Ordinal ?? 0;
        return new MarlinMethod(() => Library(ordinal), request.Shape, _forced);
    }

    protected override IEnumerable<KernelUnit> Units(CudaArchitecture architecture) => MarlinEngine.Units(architecture);

    private static (MoeReason Reason, string Sentence)? RefuseShape(MoeLayerShape shape)
    {
        if (shape.WeightFormat != MoeWeightFormat.Mxfp4)
        {
            return (MoeReason.Shape, $"the weights are {shape.WeightFormat}, and it reads MXFP4 alone");
        }

        return RefuseRouting(shape) is string refusal ? (MoeReason.Shape, refusal) : null;
    }
}
