using System.Collections.Concurrent;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Collectives;

/// <summary>Makes groups of CUDA devices that reach each other's memory. Every layer is refused.</summary>
internal sealed class CollectivesBackend : IMoeBackend, IMoeParallelBackend, IMoeInstrumentedBackend, IMoeKernelCatalog
{
    private const int OldestArchitecture = 80;
    private const int Score = 200;
    private const string Multicast = "NvLinkMulticast";
    private const string NcclFile = "Nccl";
    private const string NoLayers = "it joins devices into groups, and runs no layers";

    private readonly ConcurrentDictionary<int, Lazy<KernelLibrary>> _libraries = new();
    private readonly KernelCompiler _compiler;
    private readonly ReductionTable _table;
    private readonly Transport _transport;
    private readonly bool _isBaseline;
    private readonly bool _mayMulticast;
    private readonly string? _ncclPath;
    private readonly Func<string, string> _settingPath;

    public CollectivesBackend(IMoePluginContext context)
    {
        _isBaseline = ReductionTable.IsBaseline(context);
        _table = ReductionTable.Read(context);
        _transport = _isBaseline ? Transport.Nccl : ReadTransport(context);
        _mayMulticast = ReadSwitch(context, Multicast);
        _ncclPath = context.ReadPath(NcclFile);
        _settingPath = context.SettingPath;
        _compiler = new KernelCompiler(new KernelCompilerOptions
        {
            PrebuiltFolder = context.ReadPath("KernelCache"),
            NvrtcPath = context.ReadPath("Nvrtc"),
        });
    }

    public IReadOnlyList<string> LocalArchitectures => KernelCatalog.LocalArchitectures;

    public MoeProbeResult Probe(MoeProbeRequest request) => MoeProbeResult.Unsupported(MoeReason.Shape, NoLayers + OfMulticast);

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
            KernelLibrary[] libraries = [.. request.LocalRanks.Select(rank => Library(request.Devices[rank].Ordinal))];
            return request.Rendezvous is { } rendezvous ? CreateOfProcesses(request, rendezvous, libraries) : CreateOfThreads(request, libraries);
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

    private IMoeGroup CreateOfThreads(MoeGroupRequest request, KernelLibrary[] libraries)
    {
        if (_transport == Transport.Nccl || FindUnreachable(request) is not null)
        {
            return NcclGroup.Create(request, libraries, _isBaseline);
        }

        try
        {
            return PeerGroup.Create(request, libraries, [.. request.Devices.Select(device => device.ToString())], _table);
        }
        catch (MoeException exception) when (MayFallBack(exception) && RefuseNccl(request) is null)
        {
            return NcclGroup.Create(request, libraries, _isBaseline);
        }
    }

    // All processes must come to the same, from what all have told.
    private IMoeGroup CreateOfProcesses(MoeGroupRequest request, IMoeRendezvous rendezvous, KernelLibrary[] libraries)
    {
        bool hasNccl = NcclLibrary.TryLoad(_ncclPath, _settingPath(NcclFile), _mayMulticast, out int version, out string withoutNccl);
        var own = new RankFacts(
            RankFacts.ThisMachine(), libraries[0].Context.Device.ReadUuid().ToString(), _transport, hasNccl ? version : 0, withoutNccl, _isBaseline ? ReductionTable.Baseline : _table.ToString(), _mayMulticast);
        RankFacts[] all = [.. rendezvous.Exchange("the group's devices", own.ToBytes(), request.Timeout).Select(RankFacts.Read)];
        RankFacts.RequireEqual(all, _settingPath);

        // Across versions NCCL's ranks do not understand each other.
        int other = Array.FindIndex(all, rank => rank.NcclVersion != all[0].NcclVersion || rank.NcclVersion == 0);
        string? refusal = other < 0 ? null
            : all[other].NcclVersion == 0 ? $"rank {other} has no NCCL: {all[other].WithoutNccl}"
            : $"rank {other} has NCCL {NcclLibrary.Text(all[other].NcclVersion)}, and rank 0 {NcclLibrary.Text(all[0].NcclVersion)}";
        if (refusal is null && all.DistinctBy(rank => (rank.Machine, rank.Device)).Count() < all.Length)
        {
            refusal = "two ranks have the same device, which NCCL does not allow";
        }

        if (_transport == Transport.Nccl)
        {
            return refusal is null ? NcclGroup.Create(request, libraries, _isBaseline) : throw new MoeException(MoeReason.MissingLibrary, $"NCCL was asked for, and {refusal}.");
        }

        if (Array.TrueForAll(all, rank => rank.Machine == all[0].Machine))
        {
            try
            {
                return PeerGroup.Create(request, libraries, [.. all.Select(rank => rank.Device)], _table);
            }
            catch (MoeException exception) when (MayFallBack(exception) && refusal is null)
            {
                return NcclGroup.Create(request, libraries, _isBaseline);
            }
        }

        return _transport == Transport.Auto && refusal is null
            ? NcclGroup.Create(request, libraries, _isBaseline)
            : throw new MoeException(
                MoeReason.NoPeerAccess,
                $"The ranks are on several machines, where peer memory does not reach, and {refusal ?? $"Transport is {_transport}"}.");
    }

    /// <summary>What a user who asked for it is to know, wherever the plugin says what it does.</summary>
    private string OfMulticast => _mayMulticast ? $"; {Multicast} is on: NCCL may use multicast over NVLink, which has never been exercised with this plugin" : "";

    private bool MayFallBack(MoeException exception) => _transport == Transport.Auto && exception.Reason == MoeReason.NoPeerAccess;

    private MoeProbeResult Supported(MoeGroupRequest request)
    {
        MoeDevice device = request.Devices[request.LocalRanks[0]];
        int devices = request.Devices.Distinct().Count();
        string ranks = request.Rendezvous is not null ? $"{request.Devices.Count} processes, over {(_transport == Transport.Nccl ? "NCCL" : "peer memory, or NCCL where it does not reach")}"
            : devices < request.Devices.Count
            ? $"{request.Devices.Count} ranks on {devices} {(devices == 1 ? "device" : "devices")}, to try things: their kernels wait for each other on shared multiprocessors"
            : $"{request.Devices.Count} devices of this process, over {(_transport == Transport.Nccl || FindUnreachable(request) is not null ? "NCCL" : "peer memory")}";
        return MoeProbeResult.Supported(device, CudaDevice.Get(device.Ordinal).Name, Score, ranks + OfMulticast);
    }

    private MoeProbeResult? Refuse(MoeGroupRequest request)
    {
        MoeDevice[] local = [.. request.LocalRanks.Select(rank => request.Devices[rank])];
        foreach (MoeDevice device in local)
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

        foreach (CudaDevice device in local.Select(device => device.Ordinal).Distinct().Select(CudaDevice.Get))
        {
            if (device.Architecture.Number < OldestArchitecture)
            {
                return MoeProbeResult.Unsupported(
                    MoeReason.DeviceUnsupported, $"{device.Name} has compute capability {device.Architecture.Major}.{device.Architecture.Minor}, and 8.0 or newer is needed.");
            }
        }

        if (request.Rendezvous is not null)
        {
            // Found out with the others.
            return null;
        }

        string? unreachable = FindUnreachable(request);
        string? withoutNccl = _transport == Transport.Nccl || unreachable is not null ? RefuseNccl(request) : null;
        return unreachable is not null && (withoutNccl is not null || _transport == Transport.PeerMemory)
                ? MoeProbeResult.Unsupported(MoeReason.NoPeerAccess, $"{unreachable} {withoutNccl ?? "Transport is PeerMemory."}")
            : withoutNccl is not null ? MoeProbeResult.Unsupported(MoeReason.MissingLibrary, withoutNccl)
            : null;
    }

    private static string? FindUnreachable(MoeGroupRequest request)
    {
        CudaDevice[] devices = [.. request.Devices.Select(device => device.Ordinal).Distinct().Select(CudaDevice.Get)];
        foreach (CudaDevice device in devices)
        {
            if (Array.Find(devices, peer => !device.CanAccess(peer)) is { } peer)
            {
                return $"Device {device.Ordinal} cannot reach the memory of device {peer.Ordinal}, says the driver.";
            }
        }

        return null;
    }

    private string? RefuseNccl(MoeGroupRequest request) =>
        !NcclLibrary.TryLoad(_ncclPath, _settingPath(NcclFile), _mayMulticast, out _, out string reason) ? reason
        : request.Devices.Distinct().Count() < request.Devices.Count ? "Two ranks have the same device, which NCCL does not allow."
        : null;

    private static Transport ReadTransport(IMoePluginContext context) => !context.Settings.TryGetValue("Transport", out string? text) ? Transport.Auto
        : Enum.TryParse(text, ignoreCase: true, out Transport transport) && Enum.IsDefined(transport) ? transport
        : throw context.WrongSetting("Transport", $"one of {string.Join(", ", Enum.GetNames<Transport>())}");

    private static bool ReadSwitch(IMoePluginContext context, string key) => context.Settings.TryGetValue(key, out string? text)
        && (bool.TryParse(text, out bool isOn) ? isOn : throw context.WrongSetting(key, "true or false"));

    private KernelLibrary Library(int ordinal) => _libraries.GetOrAdd(
        ordinal,
        number => new Lazy<KernelLibrary>(
            () => new KernelLibrary(CudaContext.RetainPrimary(CudaDevice.Get(number)), _compiler, GetType().Assembly))).Value;
}
