using System.Globalization;
using System.Reflection;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>What every CUDA backend has: compiled kernels for each device, a catalogue of them, and instruments.</summary>
/// <remarks>
/// Settings: <c>KernelCache</c>, a folder of compiled kernels that is only read; <c>Nvrtc</c>, the compiler's library; <c>Context</c>, the
/// address of a <c>CUcontext</c> that another library made and goes on owning, in place of its device's primary context; and <c>Probe</c>, a
/// file, for whoever tunes a kernel (docs/kernels.md).
/// </remarks>
public abstract class CudaBackend : IMoeBackend, IMoeKernelCatalog, IMoeInstrumentedBackend
{
    private const string ContextSetting = "Context";

    /// <summary>Sizes are read in pieces of 16 bytes.</summary>
    private const int SizeUnit = 8;

    private readonly OnceEach<int, KernelLibrary> _libraries = new();
    private readonly KernelCompiler _compiler;
    private readonly Assembly _own;
    private readonly nint _givenContext;
    private readonly string? _probeFile;

    /// <summary>Makes the backend; touches no device.</summary>
    protected CudaBackend(IMoePluginContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        _own = GetType().Assembly;
        _givenContext = ReadContext(context);
        _probeFile = context.ReadPath(KernelProbe.FileSetting);
        _compiler = new KernelCompiler(new KernelCompilerOptions
        {
            PrebuiltFolder = context.ReadPath("KernelCache"),
            NvrtcPath = context.ReadPath("Nvrtc"),
            Defines = _probeFile is null ? [] : [KernelProbe.Define],
        });
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> LocalArchitectures => KernelCatalog.LocalArchitectures;

    /// <summary>The oldest architecture that there are kernels for.</summary>
    protected virtual CudaArchitecture OldestArchitecture => new(8, 0);

    /// <inheritdoc/>
    public MoeProbeResult Probe(MoeProbeRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (RefuseAnywhere(request.Shape) is string refusal)
        {
            return MoeProbeResult.Unsupported(MoeReason.Shape, refusal);
        }

        MoeProbeResult? noDevice = FindDevice(request.Device, OldestArchitecture, out CudaDevice? device);
        if (noDevice is not null)
        {
            return noDevice;
        }

        (int score, string explanation) = Rate(device!.Architecture, request.Shape);
        return MoeProbeResult.Supported(MoeDevice.Cuda(device.Ordinal), device.Name, score, explanation);
    }

    /// <inheritdoc/>
    public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        if (RefuseAnywhere(request.Shape) is string refusal)
        {
            throw new MoeException(MoeReason.Shape, refusal);
        }

        int ordinal = request.Device?.Ordinal ?? 0;
        return CreateMethod(() => Library(ordinal), request.Shape);
    }

    /// <inheritdoc/>
    public IReadOnlyList<MoeKernelReport> Compile(string architecture, IProgress<double>? progress, CancellationToken cancellationToken) =>
        KernelCatalog.Compile(AllUnits, architecture, _compiler, _own, progress, cancellationToken);

    /// <inheritdoc/>
    public IMoeInstruments CreateInstruments(MoeDevice device) => new CudaInstruments(Library(device.Ordinal));

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        foreach (KernelLibrary library in _libraries.Made)
        {
            if (_probeFile is not null)
            {
                library.WriteProbes(_probeFile);
            }

            library.Dispose();
            library.Context.Dispose();
        }

        _libraries.Clear();
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }

    /// <summary>The sources that the backend compiles for an architecture, beside what every CUDA backend has: routing, and BF16 products.</summary>
    protected abstract IEnumerable<KernelUnit> Units(CudaArchitecture architecture);

    /// <summary>Why no device can run a shape; null where one can, as far as the backend's own kernels go.</summary>
    protected abstract string? Refuse(MoeLayerShape shape);

    /// <summary>How well a device runs a shape that is not refused, and why.</summary>
    protected abstract (int Score, string Explanation) Rate(CudaArchitecture architecture, MoeLayerShape shape);

    /// <summary>Makes the method for a shape that is not refused.</summary>
    protected abstract CudaMethod CreateMethod(Func<KernelLibrary> library, MoeLayerShape shape);

    /// <summary>How far kernels that were tuned with wgmma fit an architecture, for an explanation: "kernels …".</summary>
    protected static string TunedFor(CudaArchitecture architecture) => architecture.HasWgmma
        ? "tuned for this device"
        : $"compiled for {architecture}, on which they have never run";

    /// <summary>The kernels of a device.</summary>
    /// <exception cref="MoeException">There is no such device, or it cannot be used.</exception>
    private KernelLibrary Library(int ordinal)
    {
        try
        {
            return _libraries.GetOrMake(ordinal, number => new KernelLibrary(OpenContext(number), _compiler, _own));
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    private IEnumerable<KernelUnit> AllUnits(CudaArchitecture architecture) =>
    [
        .. RoutingKernels.Units(architecture),
        CudaInstruments.Unit,
        CudaMoeMemory.Unit,
        .. Units(architecture).Concat(Bf16Experts.Units(architecture)).DistinctBy(unit => unit.ToString()),
    ];

    private string? RefuseAnywhere(MoeLayerShape shape)
    {
        if (shape.ExpertCount > RoutingBuffers.MaxExperts)
        {
            return $"{shape.ExpertCount} experts are more than the {RoutingBuffers.MaxExperts} that its router takes";
        }

        if (shape.TopK > RoutingKernels.MaxTopK)
        {
            return $"top-{shape.TopK} is more than the {RoutingKernels.MaxTopK} that its router takes";
        }

        return RouterProgram.Refuse(shape.Router)
            ?? ActivationConstants.Refuse(shape.Activation)
            ?? RefuseSizes(shape)
            ?? Refuse(LayerNetworks.ExpertsOf(shape));
    }

    /// <summary>Why sizes, or what stands around the routed experts, cannot run; null where they can.</summary>
    private static string? RefuseSizes(MoeLayerShape shape)
    {
        if (shape.HiddenSize % SizeUnit != 0 || shape.IntermediateSize % SizeUnit != 0)
        {
            return $"hidden {shape.HiddenSize} and intermediate {shape.IntermediateSize} must be multiples of {SizeUnit}";
        }

        if (shape.Shared is { } shared)
        {
            return !Bf16Experts.Reads(shared.WeightFormat) ? $"it does not know the weight format {shared.WeightFormat} of shared experts"
                : shared.IntermediateSize % SizeUnit != 0 ? $"the shared experts' intermediate size {shared.IntermediateSize} must be a multiple of {SizeUnit}"
                : ActivationConstants.Refuse(shared.Activation) ?? RefuseLatent(shape.Latent);
        }

        return RefuseLatent(shape.Latent);
    }

    private static string? RefuseLatent(MoeLatentExperts? latent) => latent is null ? null
        : !Bf16Experts.Reads(latent.WeightFormat) ? $"it does not know the weight format {latent.WeightFormat} of latent projections"
        : latent.Width % SizeUnit != 0 ? $"the latent width {latent.Width} must be a multiple of {SizeUnit}"
        : null;

    private static MoeProbeResult? FindDevice(MoeDevice? requested, CudaArchitecture minimum, out CudaDevice? device)
    {
        device = null;
        if (requested is { Kind: not MoeDeviceKind.Cuda } other)
        {
            return MoeProbeResult.Unsupported(MoeReason.NoDevice, $"it runs only on CUDA devices, and {other} was asked for");
        }

        if (!CudaDriver.TryLoad(out string? reason))
        {
            return MoeProbeResult.Unsupported(MoeReason.NoDevice, reason.TrimEnd('.'));
        }

        try
        {
            return FindDevice(requested?.Ordinal, minimum, out device);
        }
        catch (CudaException exception)
        {
            return MoeProbeResult.Unsupported(MoeReason.NoDevice, exception.Message);
        }
    }

    private static MoeProbeResult? FindDevice(int? ordinal, CudaArchitecture minimum, out CudaDevice? device)
    {
        device = null;
        CudaDevice? tooOld = null;
        int first = ordinal ?? 0;
        int last = ordinal ?? (CudaDevice.Count - 1);
        for (int i = first; i <= last; i++)
        {
            CudaDevice candidate = CudaDevice.Get(i);
            if (candidate.Architecture.Number >= minimum.Number)
            {
                device = candidate;
                return null;
            }

            tooOld = candidate;
        }

        return MoeProbeResult.Unsupported(
            MoeReason.DeviceUnsupported,
            $"{tooOld?.Name} has compute capability {tooOld?.Architecture.Major}.{tooOld?.Architecture.Minor}, and "
            + $"{minimum.Major}.{minimum.Minor} or newer is needed");
    }

    private static nint ReadContext(IMoePluginContext context)
    {
        if (!context.Settings.TryGetValue(ContextSetting, out string? text))
        {
            return 0;
        }

        return nint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out nint address) && address != 0
            ? address
            : throw context.WrongSetting(ContextSetting, "a CUcontext's address as a decimal number");
    }

    // The primary context is the one of the CUDA runtime and all that is built on it. A context that was given stands for its own device alone.
    private CudaContext OpenContext(int ordinal)
    {
        if (_givenContext != 0)
        {
            CudaContext given = CudaContext.FromHandle(_givenContext);
            if (given.Device.Ordinal == ordinal)
            {
                return given;
            }
        }

        return CudaContext.RetainPrimary(CudaDevice.Get(ordinal));
    }
}
