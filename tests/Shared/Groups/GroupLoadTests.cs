using System.Globalization;

namespace Moe.Plugins.Tests;

/// <summary>
/// Many calls, ranks that die, ranks that are late, groups beside each other: for whoever has groups. <c>MOE_GROUP_CALLS</c> and
/// <c>MOE_GROUP_KILLS</c> ask for more of them, <c>MOE_GROUP_SEED</c> for others.
/// </summary>
public abstract class GroupLoadTests
{
    internal const int Width = 96;
    internal const int MaxTokens = 24;

    internal static readonly int Calls = Read("MOE_GROUP_CALLS", 300);
    internal static readonly int Kills = Read("MOE_GROUP_KILLS", 6);
    internal static readonly int Seed = Read("MOE_GROUP_SEED", 1);

    /// <summary>The backend; skips the test where its groups cannot be made here.</summary>
    protected abstract IMoeParallelBackend Backend { get; }

    /// <summary>A device for each of some ranks.</summary>
    protected abstract IReadOnlyList<MoeDevice> Devices(int ranks);

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void Many_sums_of_random_rows_are_right(int ranks) => SumMany(Backend, Devices(ranks));

    [Fact]
    public void Two_groups_of_the_same_devices_work_beside_each_other()
    {
        using IMoeGroup one = Create(2, TimeSpan.FromSeconds(30));
        using IMoeGroup other = Create(2, TimeSpan.FromSeconds(30));
        Exception? error = null;
        var beside = new Thread(() => error = Record.Exception(() => Run(other, member => SumAgainAndAgain(member, Calls, Seed + 1))));
        beside.Start();
        Run(one, member => SumAgainAndAgain(member, Calls, Seed + 2));
        beside.Join();
        Assert.Null(error);
    }

    [Fact]
    public void A_rank_that_is_late_is_waited_for()
    {
        using IMoeGroup group = Create(3, TimeSpan.FromSeconds(30));
        Run(group, member =>
        {
            Thread.Sleep(member.Rank == 1 ? 100 : 0);
            SumAgainAndAgain(member, 3, Seed);
        });
    }

    [Fact]
    public void Ranks_that_die_at_any_moment_end_their_group_alone()
    {
        var random = new Random(Seed);
        for (int kill = 0; kill < Kills; kill++)
        {
            int ranks = random.Next(2, 5);
            int victim = random.Next(ranks);
            int after = random.Next(40);
            bool says = random.Next(2) == 0;
            using IMoeGroup group = Create(ranks, TimeSpan.FromSeconds(2));
            Exception?[] errors = Try(group, member =>
            {
                SumAgainAndAgain(member, member.Rank == victim ? after : 1000, Seed + kill);
                if (member.Rank == victim && says)
                {
                    member.Abort("It was killed.");
                }
            });

            string what = $"kill {kill}, rank {victim} of {ranks} after {after} calls{(says ? ", which it says" : "")}";
            for (int rank = 0; rank < ranks; rank++)
            {
                Assert.True(rank == victim ? errors[rank] is null : errors[rank] is MoeException, $"{what}: rank {rank}: {errors[rank]}");
            }

            Assert.True(group.Failure is { Reason: MoeReason.PeerFailed or MoeReason.TimedOut }, $"{what}: {group.Failure}");
        }

        // The devices are as before.
        using IMoeGroup next = Create(2, TimeSpan.FromSeconds(30));
        Run(next, member => SumAgainAndAgain(member, 3, Seed));
    }

    [Fact]
    public void A_group_that_is_disposed_while_ranks_work_lets_them_go()
    {
        IMoeGroup group = Create(2, TimeSpan.FromSeconds(30));
        var started = new ManualResetEventSlim();
        Exception?[] errors = Try(
            group,
            member =>
            {
                started.Set();

                // One rank less than the group has: the other waits.
                SumAgainAndAgain(member, member.Rank == 0 ? 1 : 0, Seed);
            },
            () =>
            {
                started.Wait();
                Thread.Sleep(50);
                group.Dispose();
            });
        Assert.NotNull(errors[0]);
        Assert.Null(errors[1]);
    }

    /// <summary>Many sums of random rows, in a group of its own.</summary>
    protected static void SumMany(IMoeParallelBackend backend, IReadOnlyList<MoeDevice> devices) => Sum(backend, devices, Width, Calls);

    /// <summary>Sums of random rows, in a group of its own.</summary>
    protected static void Sum(IMoeParallelBackend backend, IReadOnlyList<MoeDevice> devices, int width, int calls)
    {
        using IMoeGroup group = Create(backend, devices, TimeSpan.FromSeconds(30), width);
        Run(group, member => SumAgainAndAgain(member, calls, Seed));
        Assert.Null(group.Failure);
    }

    private static int Read(string variable, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : otherwise;

    private IMoeGroup Create(int ranks, TimeSpan timeout) => Create(Backend, Devices(ranks), timeout);

    private static IMoeGroup Create(IMoeParallelBackend backend, IReadOnlyList<MoeDevice> devices, TimeSpan timeout, int width = Width) => backend.CreateGroup(new MoeGroupRequest
    {
        Devices = devices,
        MaxTokens = MaxTokens,
        Width = width,
        ElementType = MoeElementType.Float32,
        Timeout = timeout,
    });

    private static void Run(IMoeGroup group, Action<IMoeCommunicator> work) => Assert.All(Try(group, work), Assert.Null);

    private static Exception?[] Try(IMoeGroup group, Action<IMoeCommunicator> work, Action? meanwhile = null)
    {
        var errors = new Exception?[group.Members.Count];
        Thread[] threads = [.. group.Members.Select(member => new Thread(() => errors[member.Rank] = Record.Exception(() => work(member))) { IsBackground = true })];
        Array.ForEach(threads, thread => thread.Start());
        meanwhile?.Invoke();
        Assert.All(threads, thread => Assert.True(thread.Join(TimeSpan.FromMinutes(5)), "a rank does not come back"));
        return errors;
    }

    // Each rank brings whole numbers of its own, so that sums are exact whatever their order.
    internal static unsafe void SumAgainAndAgain(IMoeCommunicator member, int calls, int seed)
    {
        int width = member.Request.Width;
        var random = new Random(seed);
        IMoeMemory memory = member.Memory;
        using MoeBuffer numbers = MoeBuffer.OnHost(MoeElementType.Float32, MaxTokens, width);
        using MoeBuffer found = MoeBuffer.OnHost(MoeElementType.Float32, MaxTokens, width);
        using var output = new MoeBuffer(memory, MoeElementType.Float32, MaxTokens, width);
        nint stream = memory.CreateStream();
        try
        {
            for (int call = 0; call < calls; call++)
            {
                int rows = random.Next(MaxTokens + 1);
                new Span<float>((void*)numbers.View.Address, rows * width).Fill(((call * 7) + member.Rank) % 1000);
                MoePartial partial = member.LendPartial(rows);
                if (rows > 0)
                {
                    memory.CopyIn(partial.View.Address, numbers.View.Address, rows * numbers.View.RowBytes, stream);
                }

                member.AllReduce(new MoeReduceArguments { Partial = partial, Output = output.View.FirstRows(rows), Stream = stream });
                memory.Synchronize(stream);
                if (member.Failure is { } failure)
                {
                    throw new MoeException(failure.Reason, failure.Message, failure);
                }

                if (rows > 0)
                {
                    memory.CopyOut(found.View.Address, output.View.Address, rows * found.View.RowBytes, stream);
                    memory.Synchronize(stream);
                }

                float expected = Enumerable.Range(0, member.Count).Sum(rank => (float)(((call * 7) + rank) % 1000));
                int wrong = new Span<float>((void*)found.View.Address, rows * width).IndexOfAnyExcept(expected);
                Assert.True(wrong < 0, $"call {call} of {rows} rows, rank {member.Rank}: value {wrong} is not {expected}");
            }
        }
        finally
        {
            memory.Synchronize(stream);
            memory.DestroyStream(stream);
        }
    }
}
