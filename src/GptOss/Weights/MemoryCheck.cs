using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.GptOss;

/// <summary>Asks before a long load whether the model will fit into memory at all.</summary>
internal static class MemoryCheck
{
    private const string LinuxFile = "/proc/meminfo";

    /// <exception cref="MoeException">It will not; the message says what it needs and what there is.</exception>
    public static void Run(IMoeHost host, GptOssConfig config, GptOssOptions options, MoeLayerRequest[] requests, Checkpoint checkpoint)
    {
        long needed = OwnBytes(config) + CacheBytes(config, options);
        foreach (MoeLayerRequest request in requests)
        {
            // What goes to a device is the backend's to refuse: the host does not know that memory.
            if (host.Explain(request).Selected is { Device: null or { Kind: MoeDeviceKind.Cpu } })
            {
                needed += ExpertBytes.Of(request.Shape);
            }
        }

        long available = Available();
        if (needed > available)
        {
            throw new MoeException(
                MoeReason.OutOfMemory,
                $"'{checkpoint.Path}' needs {needed / 1e9:0.0} GB of memory with a context of {options.MaxContext}, and {available / 1e9:0.0} GB are available. "
                + $"A smaller context, or expert layers on a GPU, need less.");
        }
    }

    private static long OwnBytes(GptOssConfig config)
    {
        long queries = (long)config.HeadCount * config.HeadSize;
        long keys = (long)config.KeyValueHeadCount * config.HeadSize;
        long attention = config.LayerCount * config.HiddenSize * ((2 * queries) + (2 * keys));
        return 2 * (attention + ((long)config.VocabularySize * config.HiddenSize));
    }

    private static long CacheBytes(GptOssConfig config, GptOssOptions options) =>
        2L * config.LayerCount * config.KeyValueHeadCount * config.HeadSize * options.CacheType.ByteSize() * options.MaxContext;

    /// <summary>What can be had without swapping. Where the system does not say, what the runtime takes for all there is.</summary>
    private static long Available()
    {
        string? line = OperatingSystem.IsLinux() && File.Exists(LinuxFile)
            ? File.ReadLines(LinuxFile).FirstOrDefault(text => text.StartsWith("MemAvailable:", StringComparison.Ordinal))
            : null;
        long limit = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        return line is not null && long.TryParse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], out long kilobytes)
            ? Math.Min(limit, kilobytes * 1024)
            : limit;
    }
}
