using Microsoft.Extensions.Time.Testing;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>A rank that fails ends its group, names itself, and leaves the process and other groups alone.</summary>
public sealed class GroupFailureTests
{
    [Fact]
    public void A_rank_that_brings_other_sizes_ends_the_group_and_is_named()
    {
        using IMoeGroup group = Groups.Create(3);
        Exception?[] errors = RankThreads.Run(group, member => Reduce(member, rows: member.Rank == 1 ? 4 : 3));

        AssertEnded(group, errors, MoeReason.ContractBroken, "Rank 1", "rank 1");
        Assert.Contains("[4, 72]", group.Failure!.Message, StringComparison.Ordinal);
        Assert.Contains("[3, 72]", group.Failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_rank_that_makes_another_call_ends_the_group()
    {
        using IMoeGroup group = Groups.Create(2);
        Exception?[] errors = RankThreads.Run(group, member =>
        {
            using MoeBuffer output = MoeBuffer.OnHost(MoeElementType.Float32, 1, Groups.Width);
            var arguments = new MoeReduceArguments { Partial = Groups.Part(member, 2), Output = output.View };
            if (member.Rank == 0)
            {
                member.ReduceScatter(arguments);
            }
            else
            {
                Reduce(member, rows: 2);
            }
        });

        AssertEnded(group, errors, MoeReason.ContractBroken, "ReduceScatter");
    }

    [Fact]
    public void A_rank_that_does_not_come_ends_the_group_when_its_time_is_over()
    {
        var clock = new FakeTimeProvider();
        using IMoeGroup group = Groups.Backend.CreateGroup(Groups.Request(3) with { Clock = clock, Timeout = TimeSpan.FromSeconds(2) });
        Exception?[] errors = RankThreads.Run(
            group,
            member =>
            {
                if (member.Rank != 1)
                {
                    Reduce(member, rows: 2);
                }
            },
            () => clock.Advance(TimeSpan.FromSeconds(1)));

        Assert.Null(errors[1]);
        AssertEnded(group, [errors[0], errors[2]], MoeReason.TimedOut, "did not come within 2 s");
        AssertIsMissing(group, 1);
    }

    [Fact]
    public void A_group_at_rest_outlasts_its_time()
    {
        var clock = new FakeTimeProvider();
        using IMoeGroup group = Groups.Backend.CreateGroup(Groups.Request(2) with { Clock = clock, Timeout = TimeSpan.FromSeconds(2) });
        for (int i = 0; i < 3; i++)
        {
            RankThreads.RunAll(group, member => Reduce(member, rows: 1));
            clock.Advance(TimeSpan.FromSeconds(10));
        }

        Assert.Null(group.Failure);
    }

    [Fact]
    public void A_rank_that_says_that_it_cannot_go_on_ends_the_group()
    {
        using IMoeGroup group = Groups.Create(4);
        Exception?[] errors = RankThreads.Run(group, member =>
        {
            if (member.Rank == 2)
            {
                member.Abort("its weights are gone");
            }

            Reduce(member, rows: 2);
        });

        AssertEnded(group, errors, MoeReason.PeerFailed, "Rank 2 failed: its weights are gone");
    }

    [Fact]
    public void A_group_is_aborted_from_any_thread_and_the_first_reason_counts()
    {
        using IMoeGroup group = Groups.Create(2);
        Exception?[] errors = RankThreads.Run(
            group,
            member =>
            {
                if (member.Rank == 0)
                {
                    Reduce(member, rows: 2);
                }
            },
            () => group.Abort("the program ends"));
        group.Abort("again");

        AssertEnded(group, [errors[0]], MoeReason.PeerFailed, "the program ends");
        MoeException later = Assert.Throws<MoeException>(() => group.Members[1].LendPartial(1));
        Assert.Equal(MoeReason.PeerFailed, later.Reason);
    }

    [Fact]
    public void A_call_that_is_wrong_in_itself_is_refused_and_the_group_goes_on()
    {
        using IMoeGroup group = Groups.Create(2);
        RankThreads.RunAll(group, member =>
        {
            using MoeBuffer narrow = MoeBuffer.OnHost(MoeElementType.Float32, 2, Groups.Width - 1);
            MoePartial partial = Groups.Part(member, 2);
            Assert.Throws<ArgumentException>(() => member.AllReduce(new MoeReduceArguments { Partial = partial, Output = narrow.View }));
            Assert.Throws<ArgumentException>(() => member.AllReduce(new MoeReduceArguments { Partial = partial, Output = partial.View }));
            Assert.Throws<ArgumentException>(() => member.AllReduce(new MoeReduceArguments { Partial = default, Output = partial.View }));
            Assert.Throws<ArgumentOutOfRangeException>(() => member.LendPartial(Groups.MaxTokens + 1));
            using MoeBuffer rows = MoeBuffer.OnHost(MoeElementType.Float32, 5, Groups.Width);
            MoeTensorView From(int row, int count) => new(rows.View.RowAddress(row), MoeDevice.Cpu, MoeElementType.Float32, count, Groups.Width);
            RefusesOverlap("Output overlaps Residual", () => member.ReduceAddNorm(
                new MoeReduceAddNormArguments { Partial = partial, Output = From(1, 2), AddNorm = new MoeAddNorm { Residual = From(0, 2) } }));
            RefusesOverlap("ResidualOutput overlaps Residual", () => member.ReduceAddNorm(
                new MoeReduceAddNormArguments { Partial = partial, Output = From(3, 2), AddNorm = new MoeAddNorm { Residual = From(0, 2), ResidualOutput = From(1, 2) } }));
            RefusesOverlap("Output overlaps Input", () => member.AllGather(new MoeGatherArguments { Input = From(1, 2), Output = From(0, 4) }));
            using MoeBuffer output = MoeBuffer.OnHost(MoeElementType.Float32, 2, Groups.Width);
            member.AllReduce(new MoeReduceArguments { Partial = partial, Output = output.View });
            Assert.Throws<InvalidOperationException>(() => member.AllReduce(new MoeReduceArguments { Partial = partial, Output = output.View }));
            Reduce(member, rows: 1);
        });
        Assert.Null(group.Failure);
    }

    [Fact]
    public void A_second_call_of_a_rank_is_refused_and_the_first_writes_where_it_was_told_to()
    {
        const int Rows = 3;
        using var isInside = new ManualResetEventSlim();
        using IMoeGroup group = Groups.Backend.CreateGroup(Groups.Request(2) with { Clock = new AskedClock(isInside.Set) });
        using MoeBuffer one = MoeBuffer.OnHost(MoeElementType.Float32, 1, Groups.Width);
        using MoeBuffer elsewhere = MoeBuffer.OnHost(MoeElementType.Float32, Rows, Groups.Width);
        elsewhere.Clear();
        RankThreads.RunAll(group, member =>
        {
            if (member.Rank == 1)
            {
                isInside.Wait();
                Assert.Throws<InvalidOperationException>(
                    () => group.Members[0].AllGather(new MoeGatherArguments { Input = one.View, Output = elsewhere.View.FirstRows(2) }));
            }

            using MoeBuffer output = MoeBuffer.OnHost(MoeElementType.Float32, Rows, Groups.Width);
            member.AllReduce(new MoeReduceArguments { Partial = Groups.Part(member, Rows), Output = output.View });
            Groups.Near(Groups.Sum(2, Rows, MoeElementType.Float32), Groups.Values(output.View), 1e-5);
        });
        Assert.All(Groups.Values(elsewhere.View), value => Assert.Equal(0, value));
    }

    [Fact]
    public void A_disposed_group_lets_its_ranks_go()
    {
        using IMoeGroup group = Groups.Create(2);
        Exception?[] errors = RankThreads.Run(
            group,
            member =>
            {
                if (member.Rank == 0)
                {
                    Reduce(member, rows: 2);
                }
            },
            group.Dispose);
        Assert.True(errors[0] is ObjectDisposedException or MoeException { Reason: MoeReason.PeerFailed }, $"{errors[0]}");
        Assert.Throws<ObjectDisposedException>(() => group.Members[0].LendPartial(1));
        group.Dispose();
    }

    [Fact]
    public void Wherever_a_rank_fails_the_others_hear_of_it()
    {
        var random = new Random(5);
        for (int round = 0; round < 20; round++)
        {
            int ranks = random.Next(2, 5);
            int victim = random.Next(ranks);
            int last = random.Next(6);
            bool dies = random.Next(2) == 0;
            var clock = new FakeTimeProvider();
            using IMoeGroup group = Groups.Backend.CreateGroup(Groups.Request(ranks) with { Clock = clock, Timeout = TimeSpan.FromSeconds(2) });
            bool hasDied = false;
            Exception?[] errors = RankThreads.Run(
                group,
                member =>
                {
                    for (int call = 0; call < 10; call++)
                    {
                        if (member.Rank == victim && call == last)
                        {
                            if (dies)
                            {
                                Volatile.Write(ref hasDied, true);
                            }
                            else
                            {
                                member.Abort("on purpose");
                            }

                            return;
                        }

                        Reduce(member, rows: 1 + (call % 3));
                    }
                },
                () =>
                {
                    if (Volatile.Read(ref hasDied))
                    {
                        clock.Advance(TimeSpan.FromSeconds(1));
                    }
                });

            Assert.Null(errors[victim]);
            Exception?[] others = [.. errors.Where((_, rank) => rank != victim)];
            AssertEnded(group, others, dies ? MoeReason.TimedOut : MoeReason.PeerFailed, dies ? "did not come" : $"Rank {victim} failed: on purpose");
            if (dies)
            {
                AssertIsMissing(group, victim);
            }
        }
    }

    [Fact]
    public void A_group_is_of_the_processor_or_is_refused()
    {
        MoeProbeResult result = Groups.Backend.ProbeGroup(Groups.Request(2) with { Devices = [MoeDevice.Cpu, MoeDevice.Cuda(0)] });
        Assert.Equal(MoeReason.NoDevice, result.Reason);
        Assert.Equal(MoeReason.Configuration, Groups.Backend.ProbeGroup(Groups.Request(2) with { Width = 0 }).Reason);
        Assert.True(Groups.Backend.ProbeGroup(Groups.Request(2)).IsSupported);
        Assert.Throws<MoeException>(() => Groups.Backend.CreateGroup(Groups.Request(2) with { MaxTokens = 0 }));
    }

    private static void Reduce(IMoeCommunicator member, int rows)
    {
        using MoeBuffer output = MoeBuffer.OnHost(MoeElementType.Float32, rows, Groups.Width);
        member.AllReduce(new MoeReduceArguments { Partial = Groups.Part(member, rows), Output = output.View });
    }

    // A thread that the machine has not run yet may be missing too.
    private static void AssertIsMissing(IMoeGroup group, int rank) =>
        Assert.Contains($"{rank}", group.Failure!.Message[..group.Failure.Message.IndexOf(" did not", StringComparison.Ordinal)], StringComparison.Ordinal);

    private static void RefusesOverlap(string words, Action call) =>
        Assert.Contains($"{words} in part", Assert.Throws<ArgumentException>(call).Message, StringComparison.Ordinal);

    private static void AssertEnded(IMoeGroup group, Exception?[] errors, MoeReason reason, params string[] anyOf)
    {
        Assert.Equal(reason, group.Failure?.Reason);
        Assert.Contains(anyOf, text => group.Failure!.Message.Contains(text, StringComparison.Ordinal));
        Assert.All(errors, error => Assert.Equal(reason, Assert.IsType<MoeException>(error).Reason));
    }

    /// <summary>Tells when a rank that has come reads it.</summary>
    private sealed class AskedClock(Action asked) : TimeProvider
    {
        public override long GetTimestamp()
        {
            asked();
            return base.GetTimestamp();
        }
    }
}
