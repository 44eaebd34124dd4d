using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Collectives.Tests;

/// <summary>More ranks than devices, whose threads do between calls what a driver may hold until kernels have ended.</summary>
[Collection(Alone.Name)]
public sealed class SharedDeviceTests
{
    private const int Width = 2880;
    private const int Rows = 40;
    private const int Calls = 24;

    /// <summary>Copies of pageable memory that a driver does not take at once, allocations, and nobody waits for a stream.</summary>
    [Theory]
    [InlineData(4, 1)]
    [InlineData(4, 2)]
    [InlineData(8, 2)]
    public void Ranks_that_share_devices_copy_and_allocate_between_calls(int ranks, int mostDevices)
    {
        int devices = Math.Min(mostDevices, CollectivesHost.Devices(mostDevices).Distinct().Count());
        using IMoeGroup group = CollectivesHost.Backend.CreateGroup(new MoeGroupRequest
        {
            Devices = [.. Enumerable.Range(0, ranks).Select(rank => MoeDevice.Cuda(rank % devices))],
            MaxTokens = Rows,
            Width = Width,
            Timeout = TimeSpan.FromSeconds(20),
        });
        GroupLoadTests.Run(group, Work);
        Assert.Null(group.Failure);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Rules_for_groups_hold_where_ranks_share_devices(bool areAllOnOne)
    {
        CollectivesHost.Devices(1);
        var subject = new ConformanceSubject
        {
            Backend = (IMoeBackend)CollectivesHost.Backend,
            Device = areAllOnOne ? MoeDevice.Cuda(0) : null,
        };
        string[] rules = [.. ConformanceSuite.Rules.Select(rule => rule.Id).Where(id => id.StartsWith("group-", StringComparison.Ordinal))];
        Assert.All(
            ConformanceSuite.Run(subject, rules, cancellationToken: TestContext.Current.CancellationToken),
            result => Assert.True(result.Outcome == ConformanceOutcome.Passed, $"{result.Statement} {string.Join("; ", result.Failures)}"));
    }

    // Whole numbers, the same in every row of a rank and call, whose sums are exact in BF16.
    private static unsafe void Work(IMoeCommunicator member)
    {
        IMoeMemory memory = member.Memory;
        MoeBuffer[] parts = [.. Enumerable.Range(0, Calls).Select(_ => MoeBuffer.OnHost(MoeElementType.BFloat16, Rows, Width))];
        MoeBuffer[] outputs = [.. parts.Select(_ => new MoeBuffer(memory, MoeElementType.BFloat16, Rows, Width))];
        nint stream = memory.CreateStream();
        try
        {
            for (int call = 0; call < Calls; call++)
            {
                new Span<ushort>((void*)parts[call].View.Address, Rows * Width).Fill(MoeBFloat16.FromSingle(Value(call, member.Rank)));
                if ((call + member.Rank) % 3 == 0)
                {
                    using var piece = new MoeBuffer(memory, MoeElementType.BFloat16, Rows, Width);
                    memory.DestroyStream(memory.CreateStream());
                }

                MoePartial partial = member.LendPartial(Rows);
                memory.CopyIn(partial.View.Address, parts[call].View.Address, parts[call].ByteCount, stream);
                member.AllReduce(new MoeReduceArguments { Partial = partial, Output = outputs[call].View, Stream = stream });
            }

            memory.Synchronize(stream);
            for (int call = 0; call < Calls; call++)
            {
                float expected = Enumerable.Range(0, member.Count).Sum(rank => Value(call, rank));
                int wrong = outputs[call].ToSingles().AsSpan().IndexOfAnyExcept(expected);
                Assert.True(wrong < 0, $"call {call}, rank {member.Rank}: value {wrong} is not {expected}");
            }
        }
        finally
        {
            memory.Synchronize(stream);
            memory.DestroyStream(stream);
            Array.ForEach(parts, part => part.Dispose());
            Array.ForEach(outputs, output => output.Dispose());
        }
    }

    private static float Value(int call, int rank) => ((call * 5) + (rank * 3)) % 7;
}
