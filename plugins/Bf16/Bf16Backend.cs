using System.Collections.Concurrent;
using System.Reflection;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>Runs layers with BF16 weights on CUDA devices from compute capability 8.0 on; MXFP4 weights are widened at load.</summary>
internal sealed class Bf16Backend(IMoePluginContext context) : IMoeBackend, IMoeKernelCatalog, IMoeInstrumentedBackend
{
    /// <summary>Sizes are read in pieces of 16 bytes.</summary>
    private const int SizeUnit = 8;
    private const int NativeScore = 220;

    /// <summary>MXFP4 weights run, but four times as many bytes are read as they have.</summary>
    private const int WideningScore = 120;

    private static readonly CudaArchitecture Oldest = new(8, 0);
    private static readonly Assembly Own = typeof(Bf16Backend).Assembly;

    private readonly ConcurrentDictionary<int, Lazy<KernelLibrary>> _libraries = new();
    private readonly KernelCompiler _compiler = new(new KernelCompilerOptions
    {
        PrebuiltFolder = context.Settings.GetValueOrDefault("KernelCache"),
        NvrtcPath = context.Settings.GetValueOrDefault("Nvrtc"),
    });

    public IReadOnlyList<string> LocalArchitectures => KernelCatalog.LocalArchitectures;

    public MoeProbeResult Probe(MoeProbeRequest request)
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
        string kernels = device!.Architecture.Number == WgmmaProducts.ArchitectureNumber
            ? "tuned for this device"
            : $"compiled for {device.Architecture}, on which they have not been timed";
        return MoeProbeResult.Supported(
            MoeDevice.Cuda(device.Ordinal),
            device.Name,
            isNative ? NativeScore : WideningScore,
            isNative ? $"kernels {kernels}" : $"MXFP4 weights are widened to BF16 at load; kernels {kernels}");
    }

    public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request)
    {
        if (RefuseShape(request.Shape) is string refusal)
        {
            throw new MoeException(MoeReason.Shape, refusal);
        }

        int ordinal = request.Device?.Ordinal ?? 0;
        return new Bf16Method(() => Library(ordinal), request.Shape);
    }

    public IReadOnlyList<MoeKernelReport> Compile(string architecture, CancellationToken cancellationToken) =>
        KernelCatalog.Compile(Bf16Engine.Units, architecture, _compiler, Own, cancellationToken);

    public IMoeInstruments CreateInstruments(MoeDevice device) => new CudaInstruments(Library(device.Ordinal));

    public ValueTask DisposeAsync()
    {
        foreach (Lazy<KernelLibrary> library in _libraries.Values.Where(library => library.IsValueCreated))
        {
            library.Value.Dispose();
            library.Value.Context.Dispose();
        }

        _libraries.Clear();
        return ValueTask.CompletedTask;
    }

    private static string? RefuseShape(MoeLayerShape shape)
    {
        if (shape.HiddenSize % SizeUnit != 0 || shape.IntermediateSize % SizeUnit != 0)
        {
            return $"hidden {shape.HiddenSize} and intermediate {shape.IntermediateSize} must be multiples of {SizeUnit}";
        }

        if (shape.ExpertCount > RoutingKernels.MaxExperts)
        {
            return $"{shape.ExpertCount} experts are more than the {RoutingKernels.MaxExperts} that its router takes";
        }

        return shape.TopK > RoutingKernels.MaxTopK
            ? $"top-{shape.TopK} is more than the {RoutingKernels.MaxTopK} that its router takes"
            : null;
    }

    private KernelLibrary Library(int ordinal)
    {
        try
        {
            return _libraries.GetOrAdd(
                ordinal,
                number => new Lazy<KernelLibrary>(
                    () => new KernelLibrary(CudaContext.RetainPrimary(CudaDevice.Get(number)), _compiler, Own))).Value;
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }
}
