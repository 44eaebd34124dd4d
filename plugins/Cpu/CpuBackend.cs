using System.Globalization;

namespace Moe.Plugins.Cpu;

/// <summary>Runs any layer on the machine's processor.</summary>
internal sealed class CpuBackend : IMoeBackend, IMoeInstrumentedBackend, IMoeParallelBackend
{
    private const int Score = 50;

    private readonly Lazy<CpuTeam> _team;
    private readonly int _threads;

    public CpuBackend(IMoePluginContext context)
    {
        _threads = ReadThreads(context);
        CpuNodes? nodes = ReadNodes(context);
        _team = new Lazy<CpuTeam>(() => new CpuTeam(_threads, time: null, nodes));
    }

    public MoeProbeResult Probe(MoeProbeRequest request)
    {
        if (request.Device is MoeDevice device && device != MoeDevice.Cpu)
        {
            return MoeProbeResult.Unsupported(MoeReason.NoDevice, $"it runs only on the processor, and {device} was asked for");
        }

        if (Refusal(request) is string refusal)
        {
            return MoeProbeResult.Unsupported(MoeReason.Format, refusal);
        }

        string threads = _threads == 1 ? "1 thread" : $"{_threads} threads";
        return MoeProbeResult.Supported(
            MoeDevice.Cpu, ProcessorName.Read(), Score, $"{PanelKernels.Name(request.Shape.WeightFormat)}, {threads}");
    }

    public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => new CpuMethod(_team.Value, request);

    public MoeProbeResult ProbeGroup(MoeGroupRequest request)
    {
        try
        {
            request.Validate();
        }
        catch (MoeException exception)
        {
            return MoeProbeResult.Unsupported(exception.Reason, exception.Message);
        }

        foreach (MoeDevice device in request.LocalRanks.Select(rank => request.Devices[rank]))
        {
            if (device != MoeDevice.Cpu)
            {
                return MoeProbeResult.Unsupported(MoeReason.NoDevice, $"Its groups are on the processor, and {device} was asked for.");
            }
        }

        string ranks = request.Rendezvous is null ? "threads of this process" : "processes, through that of rank 0";
        return MoeProbeResult.Supported(MoeDevice.Cpu, ProcessorName.Read(), Score, $"{request.Devices.Count} {ranks}");
    }

    public IMoeGroup CreateGroup(MoeGroupRequest request)
    {
        MoeProbeResult result = ProbeGroup(request);
        return !result.IsSupported ? throw new MoeException(result.Reason, result.Message)
            : request.Rendezvous is null ? new CpuGroup(request)
            : new CpuProcessGroup(request, request.Rendezvous);
    }

    public IMoeInstruments CreateInstruments(MoeDevice device) => new CpuInstruments(_team.Value);

    public ValueTask DisposeAsync()
    {
        if (_team.IsValueCreated)
        {
            _team.Value.Dispose();
        }

        return ValueTask.CompletedTask;
    }

    private static string? Refusal(MoeProbeRequest request)
    {
        MoeLayerShape shape = request.Shape;
        MoeWeightFormat[] formats = [shape.WeightFormat, shape.Shared?.WeightFormat ?? shape.WeightFormat, shape.Latent?.WeightFormat ?? shape.WeightFormat];
        foreach (MoeWeightFormat format in formats)
        {
            if (!IsKnown(format))
            {
                return $"Weight format {format} is not one that this backend knows.";
            }
        }

        return ExpertChoice.Refusal(shape.Router)
            ?? Activation.Refusal(shape.Activation)
            ?? (shape.Shared is null ? null : Activation.Refusal(shape.Shared.Activation));
    }

    private static bool IsKnown(MoeWeightFormat format) => format is MoeWeightFormat.Mxfp4 or MoeWeightFormat.BFloat16 or MoeWeightFormat.Float16
        or MoeWeightFormat.Float32 or MoeWeightFormat.Fp8Block or MoeWeightFormat.Nvfp4;

    private static int ReadThreads(IMoePluginContext context)
    {
        if (!context.Settings.TryGetValue("Threads", out string? text))
        {
            return Environment.ProcessorCount;
        }

        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int threads) && threads is >= 1 and <= 1024
            ? threads
            : throw context.WrongSetting("Threads", "1 to 1024");
    }

    private static CpuNodes? ReadNodes(IMoePluginContext context) => !context.Settings.TryGetValue("Nodes", out string? text)
        ? null
        : CpuNodes.Parse(text) ?? throw context.WrongSetting("Nodes", "the processors of each NUMA node, such as '0-31;32-63',", isMany: true);
}
