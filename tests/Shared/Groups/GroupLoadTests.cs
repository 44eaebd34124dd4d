using System.Globalization;

namespace Moe.Plugins.Tests;

/// <summary>
/// Many calls, ranks that die, ranks that are late, groups beside each other: for whoever has groups. <c>MOE_GROUP_CALLS</c> and
/// <c>MOE_GROUP_KILLS</c> ask for more of them, <c>MOE_GROUP_SEED</c> for others, <c>MOE_GROUP_PATIENCE</c> for groups that wait fewer milliseconds.
/// </summary>
public abstract class GroupLoadTests
{
    internal const int Width = 96;
    internal const int MaxTokens = 24;

    internal static readonly int Calls = Read("MOE_GROUP_CALLS", 300);
    internal static readonly int Kills = Read("MOE_GROUP_KILLS", 6);
    internal static readonly int Seed = Read("MOE_GROUP_SEED", 1);

    /// <summary>How long a group waits for a rank that dies without a word: what most of the time goes to.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(Read("MOE_GROUP_PATIENCE", 2000));

    /// <summary>The backend; skips the test where its groups cannot be made here.</summary>
    protected abstract IMoeParallelBackend Backend { get; }

    /// <summary>A device for each of some ranks.</summary>
    protected abstract IReadOnlyList<MoeDevice> Devices(int ranks);

    /// <summary>How many ranks die, one in each group.</summary>
    protected virtual int DeathCount => Kills;

    /// <summary>Groups in which they do so at a time.</summary>
    protected virtual int DeathsAtOnce => 1;

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
        // Skips the test here, not on a thread of its own.
        Devices(2);
        var random = new Random(Seed);
        Death[] deaths = [.. Enumerable.Range(0, DeathCount).Select(number =>
        {
            int ranks = random.Next(2, 5);
            return new Death(number, ranks, random.Next(ranks), random.Next(40), random.Next(2) == 0);
        })];
        var errors = new Exception?[DeathsAtOnce];
        Thread[] threads = [.. errors.Select((_, first) => new Thread(() => errors[first] = Record.Exception(() =>
        {
            for (int i = first; i < deaths.Length; i += DeathsAtOnce)
            {
                Kill(deaths[i]);
            }
        })) { IsBackground = true })];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.All(errors, Assert.Null);

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

    private void Kill(Death death)
    {
        using IMoeGroup group = Create(death.Ranks, Patience);
        Exception?[] errors = Try(group, member =>
        {
            SumAgainAndAgain(member, member.Rank == death.Victim ? death.After : 1000, Seed + death.Number);
            if (member.Rank == death.Victim && death.Says)
            {
                member.Abort("It was killed.");
            }
        });

        for (int rank = 0; rank < death.Ranks; rank++)
        {
            Assert.True(rank == death.Victim ? errors[rank] is null : errors[rank] is MoeException, $"{death}: rank {rank}: {errors[rank]}");
        }

        Assert.True(group.Failure is { Reason: MoeReason.PeerFailed or MoeReason.TimedOut }, $"{death}: {group.Failure}");
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

    internal static void Run(IMoeGroup group, Action<IMoeCommunicator> work) => Assert.All(Try(group, work), Assert.Null);

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

    /// <param name="Number">Which one it is.</param>
    /// <param name="Ranks">Of the group.</param>
    /// <param name="Victim">The rank that dies.</param>
    /// <param name="After">Its calls before.</param>
    /// <param name="Says">Whether it says so.</param>
    private sealed record Death(int Number, int Ranks, int Victim, int After, bool Says);
}
