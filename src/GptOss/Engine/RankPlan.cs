namespace Moe.Plugins.GptOss;

/// <summary>How many ranks share a model, where each is, and which part of the expert layers each has. One has all.</summary>
/// <param name="Devices">A device for each rank.</param>
/// <param name="Tensor">Ranks that share each expert.</param>
/// <param name="Expert">Ranks that share the experts.</param>
internal sealed record RankPlan(IReadOnlyList<MoeDevice> Devices, int Tensor, int Expert)
{
    public int Count => Devices.Count;

    /// <summary>How long they wait for each other.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>A rank's part of each expert layer.</summary>
    public MoePart PartOf(int rank) => MoePart.OfRank(rank, Tensor, Expert);

    /// <summary>
    /// The ranks that the options ask for, else those of the host's configuration. They are where the platform was told, where the configuration says, or
    /// on consecutive GPUs, beginning with the platform's or the first layer's; if that is the processor, all are on it.
    /// </summary>
    /// <exception cref="MoeException">The ranks are no threads of this process, or their devices do not fit.</exception>
    public static RankPlan Create(IMoeHost host, MoeLayerRequest layer, GptOssOptions options)
    {
        IReadOnlyList<MoeDevice> named = options.Platform.Devices;
        int asked = options.TensorParallel > 1 ? options.TensorParallel : named.Count;
        MoeRanks configured = host.Ranks;
        if (asked == 1 && configured.Count > 1)
        {
            if (configured.AreProcesses)
            {
                throw Wrong(
                    $"{configured.SettingPath(nameof(MoeParallelOptions.Launcher))} starts a process for each rank; "
                    + "threads of one process are expected for a whole model");
            }

            if (options.Platform.IsCut && configured.Devices.Any(device => device.Kind != named[0].Kind))
            {
                throw Wrong(
                    $"{configured.SettingPath(nameof(MoeParallelOptions.Devices))} has {string.Join(", ", configured.Devices)}; "
                    + $"GPUs are expected for a model that is on {named[0]}");
            }

            return new RankPlan(configured.Devices, configured.Tensor, configured.Expert) { Timeout = configured.Timeout };
        }

        if (asked == 1)
        {
            return new RankPlan([named[0]], 1, 1);
        }

        if (named.Count > 1)
        {
            return named.Count == asked
                ? new RankPlan(named, asked, 1) { Timeout = configured.Timeout }
                : throw Wrong($"{nameof(GptOssOptions.TensorParallel)} is {asked}, and {named.Count} devices are named; one for each rank is expected");
        }

        MoeDevice first = options.Platform.IsCut ? named[0] : options.Device ?? host.Explain(layer).Selected?.Device ?? MoeDevice.Cpu;
        return new RankPlan([.. Enumerable.Range(0, asked).Select(rank => first.Kind == MoeDeviceKind.Cpu ? first : MoeDevice.Cuda(first.Ordinal + rank))], asked, 1)
        {
            Timeout = configured.Timeout,
        };
    }

    private static MoeException Wrong(string message) => new(MoeReason.Configuration, $"{message}.");
}
