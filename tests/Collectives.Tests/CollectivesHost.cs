namespace Moe.Plugins.Collectives.Tests;

/// <summary>A host that has the plugin, as a user has it.</summary>
internal static class CollectivesHost
{
    public const string Id = "Collectives.Cuda";

    private static readonly Lazy<MoeHost> LazyNccl = new(() => Create(("Transport", "Nccl")));

    /// <summary>One for all tests that set nothing.</summary>
    public static MoeHost Shared { get; } = Create();

    public static IMoeParallelBackend Backend => BackendOf(Shared);

    /// <summary>The backend whose groups are NCCL's.</summary>
    public static IMoeParallelBackend Nccl => BackendOf(LazyNccl.Value);

    public static IMoeParallelBackend BackendOf(MoeHost host) => Assert.IsType<IMoeParallelBackend>(host.FindBackend(Id), exactMatch: false);

    public static MoeHost Create(params (string Key, string Value)[] settings)
    {
        var options = new MoeOptions { PluginFolders = [Path.Combine(AppContext.BaseDirectory, "plugins")] };
        options.Plugins[Id] = settings.ToDictionary(setting => setting.Key, setting => setting.Value);
        return MoeHost.Create(options);
    }

    /// <summary>As many devices as there are, round robin; skips the test where there is none.</summary>
    public static IReadOnlyList<MoeDevice> Devices(int ranks)
    {
        for (int count = ranks; count > 0; count--)
        {
            MoeDevice[] devices = [.. Enumerable.Range(0, ranks).Select(rank => MoeDevice.Cuda(rank % count))];
            MoeProbeResult result = Backend.ProbeGroup(new MoeGroupRequest { Devices = devices, MaxTokens = 1, Width = 8 });
            if (result.IsSupported)
            {
                return devices;
            }

            Assert.SkipWhen(count == 1, result.Message);
        }

        throw new InvalidOperationException("unreachable");
    }

    /// <summary>A device for each rank, which NCCL takes; skips the test where there are not so many, or no NCCL.</summary>
    public static IReadOnlyList<MoeDevice> NcclDevices(int ranks)
    {
        MoeDevice[] devices = [.. Enumerable.Range(0, ranks).Select(MoeDevice.Cuda)];
        MoeProbeResult result = Nccl.ProbeGroup(new MoeGroupRequest { Devices = devices, MaxTokens = 1, Width = 8 });
        Assert.SkipUnless(result.IsSupported, result.Message);
        return devices;
    }
}
