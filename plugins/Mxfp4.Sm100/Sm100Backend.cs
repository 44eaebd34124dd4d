using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>Runs layers with MXFP4 weights and MXFP8 activations, from the caller's unpadded rows to the caller's unpadded rows.</summary>
/// <remarks>
/// Setting <c>Native</c>, false by default: whether compute capability 10.0 and 10.3 run the kernels on their block-scaled matrix
/// instruction, which have never run on hardware.
/// </remarks>
internal sealed class Sm100Backend : CudaBackend
{
    private const string NativeSetting = "Native";

    /// <summary>With instructions made for the format, but nobody has seen them run.</summary>
    private const int NativeScore = 300;

    private static readonly CudaArchitecture Oldest = new(8, 0);

    private readonly bool _native;

    public Sm100Backend(IMoePluginContext context)
        : base(context) => _native = ReadNative(context.Settings.GetValueOrDefault(NativeSetting));

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

        CudaArchitecture architecture = device!.Architecture;
        if (!NativeFamily.Runs(architecture))
        {
            return MoeProbeResult.Unsupported(
                MoeReason.DeviceUnsupported,
                $"{device.Name} ({architecture}) has no block-scaled matrix instruction of tensor memory, and there are no other products yet; "
                + "the MXFP8 quantiser alone runs there");
        }

        return _native
            ? MoeProbeResult.Supported(
                MoeDevice.Cuda(device.Ordinal),
                device.Name,
                NativeScore,
                $"MXFP8 times MXFP4 on the block-scaled matrix instruction; these kernels have never run on hardware, and {NativeSetting} = true asks for them")
            : MoeProbeResult.Unsupported(
                MoeReason.Configuration,
                $"its kernels for {architecture} have never run on hardware; Moe:Plugins:Mxfp4.Sm100:{NativeSetting} = true chooses them nevertheless");
    }

    public override IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request)
    {
        if (RefuseShape(request.Shape) is string refusal)
        {
            throw new MoeException(MoeReason.Shape, refusal);
        }

        int ordinal = request.Device?.Ordinal ?? 0;
        return new Sm100Method(() => Library(ordinal), library => new NativeFamily(library, request.Shape));
    }

    protected override IEnumerable<KernelUnit> Units(CudaArchitecture architecture) =>
    [
        .. RoutingKernels.Units,
        CudaInstruments.Unit,
        CudaMoeMemory.Unit,
        Mxfp8Quantizer.Unit,
        .. NativeFamily.Runs(architecture) ? NativeFamily.Units : [],
    ];

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
