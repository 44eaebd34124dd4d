namespace Moe.Plugins.Tests;

/// <summary>Which plugin makes a group, and how long it stays.</summary>
public sealed class GroupSelectionTests
{
    private static readonly MoeGroupRequest Request = new() { Devices = [MoeDevice.Cpu, MoeDevice.Cpu], Width = 5, MaxTokens = 4 };

    [Fact]
    public void The_best_score_makes_the_group()
    {
        using MoeHost host = Host(new GroupBackend { Score = 1 }.As("Slow"), new GroupBackend { Score = 2 }.As("Fast"), FakeBackend.Scoring("None", 3));
        using IMoeGroup best = host.CreateGroup(Request);
        using IMoeGroup named = host.CreateGroup(Request, "slow");

        Assert.Equal("2", best.Failure?.Message);
        Assert.Equal("1", named.Failure?.Message);
    }

    [Fact]
    public void Where_none_can_each_says_why()
    {
        using MoeHost host = Host(new GroupBackend { Score = 0 }.As("Far"), FakeBackend.Scoring("None", 3));

        MoeException refused = Assert.Throws<MoeException>(() => host.CreateGroup(Request));
        Assert.Equal(MoeReason.NoPeerAccess, refused.Reason);
        Assert.Contains("Far: too far apart", refused.Message, StringComparison.Ordinal);
        Assert.Equal(MoeReason.NotFound, Assert.Throws<MoeException>(() => host.CreateGroup(Request, "None")).Reason);
        Assert.Equal(MoeReason.Configuration, Assert.Throws<MoeException>(() => host.CreateGroup(Request with { Width = 0 })).Reason);
    }

    [Fact]
    public void A_group_ends_with_its_host_and_before_its_backend()
    {
        var backend = new GroupBackend { Score = 1 };
        MoeHost host = Host(backend.As("Fast"));
        IMoeGroup group = host.CreateGroup(Request);
        host.Dispose();

        Assert.Equal(["group", "backend"], backend.Disposed);
        group.Dispose();
        Assert.Equal(["group", "backend"], backend.Disposed);
        Assert.Throws<ObjectDisposedException>(() => host.CreateGroup(Request));
    }

    private static MoeHost Host(params CompiledInPlugin[] plugins) => MoeHost.Create(new MoeOptions(), loggers: null, [_ => new CompiledInPlugins(plugins)]);

    private sealed class GroupBackend : IMoePlugin, IMoeBackend, IMoeParallelBackend, IMoeGroup
    {
        public required int Score { get; init; }

        public List<string> Disposed { get; } = [];

        public IReadOnlyList<IMoeCommunicator> Members => [];

        public MoeException? Failure => new(MoeReason.PeerFailed, $"{Score}");

        public CompiledInPlugin As(string id) => new(id, "1.2.3", MoeContract.Version, () => this);

        public IMoeBackend CreateBackend(IMoePluginContext context) => this;

        public MoeProbeResult Probe(MoeProbeRequest request) => MoeProbeResult.Supported(MoeDevice.Cpu, "fake", 1);

        public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => throw new NotSupportedException();

        public MoeProbeResult ProbeGroup(MoeGroupRequest request) => Score == 0
            ? MoeProbeResult.Unsupported(MoeReason.NoPeerAccess, "too far apart")
            : MoeProbeResult.Supported(MoeDevice.Cpu, "fake", Score);

        public IMoeGroup CreateGroup(MoeGroupRequest request) => this;

        public void Abort(string why) => throw new NotSupportedException();

        public void Dispose() => Disposed.Add("group");

        public ValueTask DisposeAsync()
        {
            Disposed.Add("backend");
            return default;
        }
    }
}
