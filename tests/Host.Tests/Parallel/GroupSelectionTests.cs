using Moq;

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
        Assert.Contains(@"Far: too far apart\u{001B}[2J", refused.Message, StringComparison.Ordinal);
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

    /// <summary>Whatever a plugin's group does, it is said whose it is, and the host goes on.</summary>
    [Theory]
    [InlineData("probe", "NotSupportedException: not at probe")]
    [InlineData("create", "Plugin Bad 1.2.3 failed while making a group: NotSupportedException: not at create")]
    [InlineData("failure", "Plugin Bad 1.2.3 failed while saying why its group has ended: NotSupportedException: not at failure")]
    [InlineData("abort", "Plugin Bad 1.2.3 failed while ending a group: NotSupportedException: not at abort")]
    [InlineData("dispose", "Plugin Bad 1.2.3 failed while freeing a group: NotSupportedException: not at dispose")]
    public void What_a_plugin_s_group_throws_is_said_with_the_plugin(string place, string expected)
    {
        var backend = new GroupBackend { Score = 1, At = at => _ = at == place ? throw new NotSupportedException($"not at {at}") : true };
        using MoeHost host = Host(backend.As("Bad"));
        MoeException? said = null;
        try
        {
            using IMoeGroup group = host.CreateGroup(Request);
            said = group.Failure as MoePluginException;
            group.Abort("it is over");
        }
        catch (MoeException exception)
        {
            said = exception;
        }

        Assert.Contains(expected, said?.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_group_without_its_members_is_refused_and_freed()
    {
        (Func<IReadOnlyList<IMoeCommunicator>> Made, string Expected)[] wrong =
        [
            (static () => null!, "IMoeGroup.Members is null"),
            (static () => [null!, GroupBackend.Member(1)], "a member is null"),
            (static () => [GroupBackend.Member(0)], "Its group has 1 members; 2 were asked for"),
            (static () => [GroupBackend.Member(0), Mock.Of<IMoeCommunicator>()], "Memory is null"),
            (static () => throw new NotSupportedException("no members"), "NotSupportedException: no members"),
        ];
        foreach ((Func<IReadOnlyList<IMoeCommunicator>> made, string expected) in wrong)
        {
            var backend = new GroupBackend { Score = 1, MadeOf = made };
            using MoeHost host = Host(backend.As("Bad"));
            Assert.Contains(expected, Assert.Throws<MoePluginException>(() => host.CreateGroup(Request)).Message, StringComparison.Ordinal);
            Assert.Equal(["group"], backend.Disposed);
        }
    }

    [Fact]
    public void A_probe_of_a_group_that_hangs_is_left_behind_and_not_asked_again()
    {
        using var never = new ManualResetEventSlim();
        var options = new MoeOptions { ActivationTimeout = TimeSpan.FromSeconds(0.2) };
        var hanging = new GroupBackend { Score = 2, At = _ => never.Wait() };
        using (MoeHost host = MoeHost.Create(options, loggers: null, [_ => new CompiledInPlugins([hanging.As("Hanging"), new GroupBackend { Score = 1 }.As("Good")])]))
        {
            using (IMoeGroup group = host.CreateGroup(Request))
            {
                Assert.Equal("1", group.Failure?.Message);
            }

            Assert.Equal(MoeCandidateState.TimedOut, host.Plugins.Single(static plugin => plugin.Id == "Hanging").State);
            host.CreateGroup(Request).Dispose();
            MoeException later = Assert.Throws<MoeException>(() => host.CreateGroup(Request, "Hanging"));
            Assert.Equal(MoeReason.TimedOut, later.Reason);
            Assert.Contains("Hanging: Its probe of a group did not return within 0.2 s", later.Message, StringComparison.Ordinal);
        }

        never.Set();
    }

    /// <summary>What the contract lets a member throw names the rank that failed; anything else is the plugin's fault.</summary>
    [Fact]
    public void What_a_member_throws_is_the_group_s_word_or_said_with_the_plugin()
    {
        var word = new MoeException(MoeReason.PeerFailed, "rank 1 is gone");
        var member = new Mock<IMoeCommunicator>();
        member.SetupGet(static m => m.Memory).Returns(MoeHostMemory.Instance);
        member.SetupGet(static m => m.Request).Returns(Request);
        member.Setup(static m => m.AllReduce(It.IsAny<MoeReduceArguments>())).Throws(word);
        member.Setup(static m => m.ReduceScatter(It.IsAny<MoeReduceArguments>())).Throws(new TimeoutException("it took too long"));
        member.Setup(static m => m.LendPartial(9)).Throws(new ArgumentOutOfRangeException("rows"));
        var backend = new GroupBackend { Score = 1, MadeOf = () => [member.Object, member.Object] };
        using MoeHost host = Host(backend.As("Bad"));
        using IMoeGroup group = host.CreateGroup(Request);

        Assert.Same(word, Assert.Throws<MoeException>(() => group.Members[0].AllReduce(default)));
        Assert.Throws<ArgumentOutOfRangeException>("rows", () => group.Members[0].LendPartial(9));
        Assert.Contains(
            "Plugin Bad 1.2.3 failed while exchanging with other ranks: TimeoutException: it took too long",
            Assert.Throws<MoePluginException>(() => group.Members[1].ReduceScatter(default)).Message,
            StringComparison.Ordinal);
    }

    /// <summary>Where a backend fails on only one rank's device, the next one is taken there. The ranks would then add up what two backends computed.</summary>
    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [InlineData(false, true)]
    public void A_layer_whose_ranks_have_different_backends_ends_the_group(bool fails, bool hasFailedBefore)
    {
        var aborted = new List<string>();
        var full = new MoeException(MoeReason.OutOfMemory, "it is full");
        bool isFull = false;
        bool isFullForStates = false;
        var fast = new FakeBackend
        {
            Answer = static _ => MoeProbeResult.Supported(MoeDevice.Cpu, "fake", 3),
            Method = () => new RecordingMethod(new HostMemory()) { Fails = isFull ? full : null, DuringWorkspace = () => _ = isFullForStates ? throw full : 0 },
        };
        var groups = new GroupBackend
        {
            Score = 1,
            MadeOf = static () => [.. Enumerable.Range(0, 2).Select(static rank => Mock.Of<IMoeCommunicator>(
                member => member.Rank == rank && member.Count == 2 && member.Device == MoeDevice.Cpu && member.Memory == MoeHostMemory.Instance
                    && member.Request == new MoeGroupRequest { Devices = Request.Devices, Width = 5, MaxTokens = 4, ElementType = MoeElementType.Float32 }))],
            Aborted = aborted.Add,
        };
        using MoeHost host = Host(fast.As("Fast"), FakeBackend.Scoring("Slow", 2), groups.As("Groups"));
        using IMoeGroup group = host.CreateGroup(Request);
        Create(rank: 0);
        if (hasFailedBefore)
        {
            // What is no state is none of the rank's states.
            isFullForStates = true;
            Assert.Equal(MoeReason.OutOfMemory, Assert.ThrowsAny<MoeException>(() => Create(rank: 1)).Reason);
            isFullForStates = false;
        }

        isFull = fails;

        Exception? error = Record.Exception(() => Create(rank: 1));

        string[] expected = fails ? ["Rank 1 differs from rank 0 in the layer's backend: Slow 1.2.3 against Fast 1.2.3. The same is expected on all ranks."] : [];
        Assert.Equal(expected, aborted);
        Assert.Equal(expected.FirstOrDefault(), error?.Message);

        void Create(int rank) => host.CreateLayer(
            TinyLayer.Request with { Options = TinyLayer.Options with { Part = MoePart.OfRank(rank, 1, 2) } },
            TinyLayer.Weights,
            cancellationToken: TestContext.Current.CancellationToken).CreateState(group.Members[rank]);
    }

    /// <summary>Where there are fewer GPUs than ranks, all are of GPUs, and the group's plugin says how many there are.</summary>
    [Theory]
    [InlineData(2, null, "cuda:0", "cuda:1", "cuda:2")]
    [InlineData(0, null, "cpu", "cpu", "cpu")]
    [InlineData(2, "cuda:1", "cuda:1", "cuda:2", "cuda:3")]
    public void Ranks_whose_devices_are_not_named_are_all_on_gpus_or_none(int gpus, string? device, params string[] expected)
    {
        var groups = new GroupBackend { Score = 1, Joins = request => request.Devices.All(rank => rank.Kind == MoeDeviceKind.Cuda && rank.Ordinal < gpus) };
        var options = new MoeOptions { Device = device };
        options.Parallel.Tensor = 3;
        using MoeHost host = MoeHost.Create(options, loggers: null, [_ => new CompiledInPlugins([groups.As("Groups")])]);

        Assert.Equal(expected, host.Ranks.Devices.Select(static rank => $"{rank}"));
    }

    [Fact]
    public void A_group_of_one_rank_is_where_its_layer_is()
    {
        MoeGroupRequest? asked = null;
        var groups = new GroupBackend { Score = 1, Joins = request => request.Devices[0].Kind == MoeDeviceKind.Cuda && (asked = request) is not null, MadeOf = static () => [GroupBackend.Member(0)] };
        using MoeHost host = Host(groups.As("Groups"));

        host.CreateGroupFor(TinyLayer.Request with { Device = MoeDevice.Cuda(1) }).Dispose();

        Assert.Equal([MoeDevice.Cuda(1)], asked?.Devices);
    }

    private static MoeHost Host(params CompiledInPlugin[] plugins) => MoeHost.Create(new MoeOptions(), loggers: null, [_ => new CompiledInPlugins(plugins)]);

    private sealed class GroupBackend : IMoePlugin, IMoeBackend, IMoeParallelBackend, IMoeGroup
    {
        public required int Score { get; init; }

        public List<string> Disposed { get; } = [];

        public Action<string>? At { get; init; }

        public Action<string>? Aborted { get; init; }

        public Func<MoeGroupRequest, bool> Joins { get; init; } = static _ => true;

        public Func<IReadOnlyList<IMoeCommunicator>>? MadeOf { get; init; }

        public IReadOnlyList<IMoeCommunicator> Members => MadeOf is null ? [.. Enumerable.Range(0, Request.Devices.Count).Select(Member)] : MadeOf();

        public MoeException? Failure
        {
            get
            {
                At?.Invoke("failure");
                return new(MoeReason.PeerFailed, $"{Score}");
            }
        }

        public CompiledInPlugin As(string id) => new(id, "1.2.3", MoeContract.Version, () => this);

        public IMoeBackend CreateBackend(IMoePluginContext context) => this;

        public MoeProbeResult Probe(MoeProbeRequest request) => MoeProbeResult.Supported(MoeDevice.Cpu, "fake", 1);

        public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => throw new NotSupportedException();

        public MoeProbeResult ProbeGroup(MoeGroupRequest request)
        {
            At?.Invoke("probe");
            return Score == 0 || !Joins(request)
                ? MoeProbeResult.Unsupported(MoeReason.NoPeerAccess, "too far apart\u001b[2J")
                : MoeProbeResult.Supported(MoeDevice.Cpu, "fake", Score);
        }

        public IMoeGroup CreateGroup(MoeGroupRequest request)
        {
            At?.Invoke("create");
            return this;
        }

        public void Abort(string why)
        {
            At?.Invoke("abort");
            Aborted?.Invoke(why);
        }

        public void Dispose()
        {
            Disposed.Add("group");
            At?.Invoke("dispose");
        }

        public static IMoeCommunicator Member(int rank) => Mock.Of<IMoeCommunicator>(
            member => member.Rank == rank && member.Count == 2 && member.Memory == MoeHostMemory.Instance && member.Request == Request);

        public ValueTask DisposeAsync()
        {
            Disposed.Add("backend");
            return default;
        }
    }
}
