using System.Collections.Concurrent;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Collectives;

/// <summary>Makes groups of CUDA devices that reach each other's memory. Every layer is refused.</summary>
internal sealed class CollectivesBackend : IMoeBackend, IMoeParallelBackend, IMoeInstrumentedBackend, IMoeKernelCatalog
{
    private const int OldestArchitecture = 80;
    private const int Score = 200;
    private const string NoLayers = "it joins devices into groups, and runs no layers";

    private readonly ConcurrentDictionary<int, Lazy<KernelLibrary>> _libraries = new();
    private readonly KernelCompiler _compiler;
    private readonly ReductionTable _table;

    public CollectivesBackend(IMoePluginContext context)
    {
        _table = ReductionTable.Read(context.Settings.GetValueOrDefault("Plan"));
        _compiler = new KernelCompiler(new KernelCompilerOptions
        {
            PrebuiltFolder = context.Settings.GetValueOrDefault("KernelCache"),
            NvrtcPath = context.Settings.GetValueOrDefault("Nvrtc"),
        });
    }

    public IReadOnlyList<string> LocalArchitectures => KernelCatalog.LocalArchitectures;

    public MoeProbeResult Probe(MoeProbeRequest request) => MoeProbeResult.Unsupported(MoeReason.Shape, NoLayers);

    public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => throw new MoeException(MoeReason.Shape, $"Collectives.Cuda: {NoLayers}.");

    public MoeProbeResult ProbeGroup(MoeGroupRequest request)
    {
        try
        {
            request.Validate();
            return Refuse(request) ?? Supported(request);
        }
        catch (MoeException exception)
        {
            return MoeProbeResult.Unsupported(exception.Reason, exception.Message);
        }
        catch (CudaException exception)
        {
            return MoeProbeResult.Unsupported(MoeReason.NoDevice, exception.Message);
        }
    }

    public IMoeGroup CreateGroup(MoeGroupRequest request)
    {
        MoeProbeResult result = ProbeGroup(request);
        if (!result.IsSupported)
        {
            throw new MoeException(result.Reason, result.Message);
        }

        try
        {
            return PeerGroup.Create(request, [.. request.Devices.Select(device => Library(device.Ordinal))], _table);
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    public IMoeInstruments CreateInstruments(MoeDevice device)
    {
        try
        {
            return new CudaInstruments(Library(device.Ordinal));
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    public IReadOnlyList<MoeKernelReport> Compile(string architecture, IProgress<double>? progress, CancellationToken cancellationToken) =>
        KernelCatalog.Compile(
            _ => [.. ReductionKernels.Units, CudaInstruments.Unit, CudaMoeMemory.Unit], architecture, _compiler, GetType().Assembly, progress, cancellationToken);

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

    private static MoeProbeResult Supported(MoeGroupRequest request)
    {
        int devices = request.Devices.Distinct().Count();
        string shared = devices < request.Devices.Count
            ? $"{request.Devices.Count} ranks on {devices} {(devices == 1 ? "device" : "devices")}, to try things: their kernels wait for each other on shared multiprocessors"
            : $"{request.Devices.Count} devices of this process, over peer memory";
        return MoeProbeResult.Supported(request.Devices[0], CudaDevice.Get(request.Devices[0].Ordinal).Name, Score, shared);
    }

    private static MoeProbeResult? Refuse(MoeGroupRequest request)
    {
        foreach (MoeDevice device in request.Devices)
        {
            if (device.Kind != MoeDeviceKind.Cuda)
            {
                return MoeProbeResult.Unsupported(MoeReason.NoDevice, $"Its groups are of CUDA devices, and {device} was asked for.");
            }
        }

        if (RowShape.Refuse(request) is string refusal)
        {
            return MoeProbeResult.Unsupported(MoeReason.Shape, refusal);
        }

        if (!CudaDriver.TryLoad(out string? reason))
        {
            return MoeProbeResult.Unsupported(MoeReason.NoDevice, reason);
        }

        CudaDevice[] devices = [.. request.Devices.Select(device => device.Ordinal).Distinct().Select(CudaDevice.Get)];
        foreach (CudaDevice device in devices)
        {
            if (device.Architecture.Number < OldestArchitecture)
            {
                return MoeProbeResult.Unsupported(
                    MoeReason.DeviceUnsupported, $"{device.Name} has compute capability {device.Architecture.Major}.{device.Architecture.Minor}, and 8.0 or newer is needed.");
            }

            foreach (CudaDevice peer in devices)
            {
                if (!device.CanAccess(peer))
                {
                    return MoeProbeResult.Unsupported(
                        MoeReason.NoPeerAccess, $"Device {device.Ordinal} cannot reach the memory of device {peer.Ordinal}, says the driver.");
                }
            }
        }

        return null;
    }

    private KernelLibrary Library(int ordinal) => _libraries.GetOrAdd(
        ordinal,
        number => new Lazy<KernelLibrary>(
            () => new KernelLibrary(CudaContext.RetainPrimary(CudaDevice.Get(number)), _compiler, GetType().Assembly))).Value;
}
