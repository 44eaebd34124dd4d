using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>Groups whose ranks know each other by the network alone do what groups of threads do.</summary>
public sealed class ProcessGroupTests : GroupLoadTests
{
    public static TheoryData<string> Rules => [.. ConformanceSuite.Rules.Select(rule => rule.Id).Where(id => id.StartsWith("group-", StringComparison.Ordinal))];

    protected override IMoeParallelBackend Backend => new JoinedBackend(Groups.Backend);

    protected override IReadOnlyList<MoeDevice> Devices(int ranks) => [.. Enumerable.Repeat(MoeDevice.Cpu, ranks)];

    [Theory]
    [MemberData(nameof(Rules))]
    public void Rule_is_kept(string rule)
    {
        var subject = new ConformanceSubject { Backend = new JoinedBackend(Groups.Backend), Device = MoeDevice.Cpu };

        ConformanceResult result = ConformanceSuite.Rules.Single(candidate => candidate.Id == rule).Check(subject, TestContext.Current.CancellationToken);

        Assert.True(result.Outcome == ConformanceOutcome.Passed, $"{result.Outcome} {result.Statement} {result.Reason} {string.Join("; ", result.Failures)}");
    }

    [Fact]
    public void Whoever_differs_from_rank_0_is_named_to_all()
    {
        MoeException[] failures = Fail(rank => Groups.Request(3) with { MaxTokens = rank == 2 ? 5 : 9 });

        Assert.All(failures, failure => Assert.Equal(MoeReason.Configuration, failure.Reason));
        Assert.All(failures, failure => Assert.Contains("Rank 2 differs from rank 0 in MaxTokens: 5 against 9.", failure.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void Whoever_cannot_make_the_group_says_so_to_all()
    {
        MoeException[] failures = Fail(rank => Groups.Request(3) with { Devices = [.. Enumerable.Range(0, 3).Select(_ => rank == 1 ? MoeDevice.Cuda(0) : MoeDevice.Cpu)] });

        Assert.All([failures[0], failures[2]], failure => Assert.Equal(MoeReason.PeerFailed, failure.Reason));
        Assert.All([failures[0], failures[2]], failure => Assert.Contains("Rank 1 cannot make the group: ", failure.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void Whoever_has_another_layer_is_named_before_the_first_forward()
    {
        var shape = new MoeLayerShape { HiddenSize = Groups.Width, IntermediateSize = 64, ExpertCount = 6, TopK = 2, WeightFormat = MoeWeightFormat.BFloat16 };
        MoeException[] failures = Fail(
            _ => Groups.Request(3),
            (group, rank) =>
            {
                MoeLayerShape own = shape with { TopK = rank == 1 ? 3 : 2 };
                using var weights = new RandomLayer(own, seed: 1);
                using MoeLayer layer = CpuHost.Shared.CreateLayer(
                    new MoeLayerRequest
                    {
                        Shape = own,
                        Options = new MoeLayerOptions { MaxTokens = Groups.MaxTokens, OutputType = MoeElementType.Float32, Part = MoePart.OfRank(rank, 1, 3) },
                    },
                    weights.Source);
                layer.CreateState(group.Members.Single());
            });

        Assert.All(failures, failure => Assert.Equal(MoeReason.Configuration, failure.Reason));
        Assert.All(failures, failure => Assert.Contains("Rank 1 differs from rank 0 in the layer's shape: ", failure.Message, StringComparison.Ordinal));
    }

    private static MoeException[] Fail(Func<int, MoeGroupRequest> request, Action<IMoeGroup, int>? work = null)
    {
        int port = FreePort.Find();
        var errors = new Exception?[3];
        Thread[] threads = [.. errors.Select((_, rank) => new Thread(() => errors[rank] = Record.Exception(() =>
        {
            using var rendezvous = MoeRendezvous.Join(new MoeRendezvousOptions { Address = "localhost", Port = port, Rank = rank, Count = 3 });
            using IMoeGroup group = CpuHost.Shared.CreateGroup(request(rank) with { Rendezvous = rendezvous }, "Cpu");
            work?.Invoke(group, rank);
        })))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        return [.. errors.Select(error => Assert.IsType<MoeException>(error))];
    }
}
