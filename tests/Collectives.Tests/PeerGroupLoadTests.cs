using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Collectives.Tests;

[Collection(Alone.Name)]
public sealed class PeerGroupLoadTests : GroupLoadTests
{
    protected override IMoeParallelBackend Backend => CollectivesHost.Backend;

    protected override IReadOnlyList<MoeDevice> Devices(int ranks) => CollectivesHost.Devices(ranks);

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void Replays_of_a_graph_and_other_calls_mix(int ranks) => GraphMix.Run(Backend, Devices(ranks));

    /// <summary>Of a backend of layers, whose parts go straight into the memory that the group lends.</summary>
    [Fact]
    public void Many_forwards_of_random_tokens_are_right_every_time() => RandomForwards.Run(
        CollectivesHost.Shared,
        "Mxfp4.Marlin",
        CollectivesHost.Id,
        Devices(4),
        new MoeLayerShape { HiddenSize = 256, IntermediateSize = 256, ExpertCount = 8, TopK = 2, WeightFormat = MoeWeightFormat.Mxfp4 },
        MoeElementType.BFloat16);

    /// <summary>Where rows are read, with experts of one rank each and of two; pushed rows all go everywhere.</summary>
    [Theory]
    [InlineData("push:132:1:1024", 4, 1, false)]
    [InlineData("pull:132:1:1048576", 2, 1, true)]
    [InlineData("pull:132:1:1048576", 4, 1, true)]
    [InlineData("pull:132:1:1048576", 4, 2, true)]
    [InlineData("pull:3:1:5", 3, 1, true)]
    public void Tokens_that_go_only_to_ranks_with_their_experts_give_the_bits_of_those_that_go_everywhere(string plan, int ranks, int tensorRanks, bool leavesOut)
    {
        IReadOnlyList<MoeDevice> devices = Devices(ranks);
        using MoeHost host = CollectivesHost.Create(("Plan", plan));
        LeftOutTokens.Run(
            host,
            "Mxfp4.Marlin",
            CollectivesHost.Id,
            devices,
            tensorRanks,
            new MoeLayerShape { HiddenSize = 256, IntermediateSize = 256, ExpertCount = 15, TopK = 2, WeightFormat = MoeWeightFormat.Mxfp4 },
            MoeElementType.BFloat16,
            leavesOut);
    }

    /// <summary>Of as few columns as there may be, and of so many that a thread has two pieces and eight of them.</summary>
    [Theory]
    [InlineData(3, 8)]
    [InlineData(2, 2056)]
    [InlineData(2, 16384)]
    public void Rows_of_any_width_are_summed(int ranks, int width) => Sum(Backend, Devices(ranks), width, calls: 30);

    /// <summary>Each way by itself where it may be, and pushes between them: a call of fewer rows than ranks has no owners.</summary>
    [Theory]
    [InlineData("push:132:1:1024", 4)]
    [InlineData("twoshot:132:2:1024", 4)]
    [InlineData("pull:132:1:1048576", 2)]
    [InlineData("pull:132:1:1048576", 4)]
    [InlineData("twopull:132:1:1048576", 2)]
    [InlineData("twopull:132:1:1048576", 3)]
    [InlineData("twopull:3:1:1048576", 4)]
    [InlineData("twopull:1:1:1048576", 4)]
    [InlineData("twopull:1:1:11", 4)]
    public void Every_way_sums_again_and_again(string plan, int ranks)
    {
        IReadOnlyList<MoeDevice> devices = Devices(ranks);
        using MoeHost host = CollectivesHost.Create(("Plan", plan));
        IMoeParallelBackend backend = CollectivesHost.BackendOf(host);
        SumMany(backend, devices);
        GraphMix.Run(backend, devices);
        var subject = new ConformanceSubject { Backend = (IMoeBackend)backend };
        Assert.All(
            ConformanceSuite.Run(subject, ["group-sums", "group-equal-bits", "group-writes-only-its-rows", "group-needed-rows"], cancellationToken: TestContext.Current.CancellationToken),
            result => Assert.True(result.Outcome == ConformanceOutcome.Passed, $"{result.Statement} {string.Join("; ", result.Failures)}"));
    }
}
