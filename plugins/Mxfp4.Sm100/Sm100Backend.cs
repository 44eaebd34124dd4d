using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>Runs layers with MXFP4 weights and MXFP8 activations, from the caller's unpadded rows to the caller's unpadded rows.</summary>
/// <remarks>
/// Setting <c>Native</c>, false by default: whether compute capability 10.0 and 10.3 run the kernels on their block-scaled matrix
/// instruction, which have never run on hardware. Setting <c>Kernels</c>: one variant (<c>grouped32x64</c>, …) of the others for every number
/// of tokens; without it the fastest is chosen.
/// </remarks>
internal sealed class Sm100Backend : CudaBackend
{
    private const string NativeSetting = "Native";
    private const string KernelsSetting = "Kernels";

    /// <summary>With instructions made for the format, but nobody has seen them run.</summary>
    private const int NativeScore = 300;

    /// <summary>Behind BF16 activations with the same weights, which lose less at the same cost; before weights that are widened at load.</summary>
    private const int WidenedScore = 150;

    /// <summary>Compute capability that the widened products were tuned for: 9.0.</summary>
    private const int TunedNumber = 90;

    private static readonly CudaArchitecture Oldest = new(8, 0);

    private readonly bool _native;
    private readonly Mxfp4Variant? _forced;

    public Sm100Backend(IMoePluginContext context)
        : base(context)
    {
        _native = ReadNative(context.Settings.GetValueOrDefault(NativeSetting));
        _forced = Mxfp4Variant.Read(KernelsSetting, context.Settings.GetValueOrDefault(KernelsSetting));
    }

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

        return IsNative(device!.Architecture)
            ? MoeProbeResult.Supported(
                MoeDevice.Cuda(device.Ordinal),
                device.Name,
                NativeScore,
                $"MXFP8 times MXFP4 on the block-scaled matrix instruction; these kernels have never run on hardware, and {NativeSetting} = true asks for them")
            : MoeProbeResult.Supported(MoeDevice.Cuda(device.Ordinal), device.Name, WidenedScore, Explain(device.Architecture));
    }

    public override IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request)
    {
        if (RefuseShape(request.Shape) is string refusal)
        {
            throw new MoeException(MoeReason.Shape, refusal);
        }

        int ordinal = request.Device?.Ordinal ?? 0;
        return new Sm100Method(
            () => Library(ordinal),
            library => IsNative(library.Context.Device.Architecture)
                ? new NativeFamily(library, request.Shape)
                : new WidenedFamily(library, request.Shape, _forced));
    }

    protected override IEnumerable<KernelUnit> Units(CudaArchitecture architecture) =>
    [
        .. RoutingKernels.Units(architecture),
        CudaInstruments.Unit,
        CudaMoeMemory.Unit,
        Mxfp8Quantizer.Unit,
        .. WidenedFamily.Units(architecture),
        .. NativeFamily.Runs(architecture) ? NativeFamily.Units : [],
    ];

    private bool IsNative(CudaArchitecture architecture) => _native && NativeFamily.Runs(architecture);

    private static string Explain(CudaArchitecture architecture)
    {
        string widened = "MXFP8 activations and MXFP4 weights are widened to BF16, which is exact, on the tensor cores of any device; ";
        if (NativeFamily.Runs(architecture))
        {
            return widened + $"the kernels for this device's own instruction have never run on hardware, and {NativeSetting} = true asks for them";
        }

        return widened + (architecture.Number == TunedNumber
            ? "the products are those that were tuned for this device"
            : $"compiled for {architecture}, on which they have not been timed");
    }

    private static string? RefuseShape(MoeLayerShape shape) => shape.WeightFormat == MoeWeightFormat.Mxfp4
        ? RefuseRouting(shape)
        : $"the weights are {shape.WeightFormat}, and it reads MXFP4 alone";

    private static bool ReadNative(string? value)
    {
        if (string.IsNullOrEmpty(value))
        {
            return false;
        }

        return bool.TryParse(value, out bool native)
            ? native
            : throw new MoeException(MoeReason.Configuration, $"{NativeSetting} is '{value}'; true or false is expected.");
    }
}
