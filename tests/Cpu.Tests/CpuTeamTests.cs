namespace Moe.Plugins.Cpu.Tests;

/// <summary>Threads that share work: each unit is done once, by whoever takes it, and nobody waits for who has none.</summary>
public sealed class CpuTeamTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Every_unit_is_done_once_however_late_threads_come(int threads)
    {
        using var team = new CpuTeam(threads);
        for (int phase = 0; phase < 3000; phase++)
        {
            int units = phase % 37;
            int[] done = new int[units];
            team.Run(new Work((p, unit, worker) =>
            {
                Assert.Equal(phase, p);
                Assert.InRange(worker, 0, threads - 1);
                Interlocked.Increment(ref done[unit]);
                if ((phase + unit) % 97 == 0)
                {
                    // Others begin, end and begin again meanwhile.
                    Thread.Sleep(worker == 0 ? 0 : 1);
                }
            }), phase, units);
            Assert.All(done, static count => Assert.Equal(1, count));
        }
    }

    [Fact]
    public void Several_callers_take_turns()
    {
        using var team = new CpuTeam(3);
        long sum = 0;
        Parallel.For(0, 4, _ =>
        {
            for (int phase = 0; phase < 500; phase++)
            {
                team.Run(new Work((_, unit, _) => Interlocked.Add(ref sum, unit)), phase, 20);
            }
        });
        Assert.Equal(4L * 500 * 190, sum);
    }

    [Fact]
    public void A_unit_that_throws_keeps_no_other_from_being_done_and_the_team_goes_on()
    {
        using var team = new CpuTeam(3);
        for (int round = 0; round < 200; round++)
        {
            int done = 0;
            Assert.Throws<InvalidOperationException>(() => team.Run(
                new Work((_, unit, _) =>
                {
                    // Alone, the caller stops at the first that throws.
                    Interlocked.Increment(ref done);
                    if (unit == 7)
                    {
                        throw new InvalidOperationException();
                    }
                }),
                phase: 0,
                units: 8));
            Assert.Equal(8, done);
        }
    }

    /// <summary>A helper that loses its processor in the middle of a unit, again and again.</summary>
    [Fact]
    public void Who_loses_by_sharing_goes_on_alone_for_a_while_and_then_tries_again()
    {
        var time = new CountedTime();
        using var team = new CpuTeam(2, time);
        RunShared(team, time, late: TimeSpan.FromMilliseconds(4));

        // 30 times the loss of 4 ms, but for what sharing saved: alone, whatever the helper would do.
        for (int i = 0; i < 10; i++)
        {
            Assert.All(Workers(team), static worker => Assert.Equal(0, worker));
            time.Advance(TimeSpan.FromMilliseconds(10));
        }

        time.Advance(TimeSpan.FromMilliseconds(30));
        RunShared(team, time, late: TimeSpan.Zero);
    }

    [Fact]
    public void Who_does_not_lose_goes_on_sharing()
    {
        var time = new CountedTime();
        using var team = new CpuTeam(2, time);
        for (int i = 0; i < 50; i++)
        {
            RunShared(team, time, late: TimeSpan.FromMicroseconds(1));
        }
    }

    [Fact]
    public void After_its_end_it_runs_nothing()
    {
        var team = new CpuTeam(2);
        team.Dispose();
        team.Dispose();
        Assert.Throws<ObjectDisposedException>(() => team.Run(new Work(static (_, _, _) => { }), 0, 2));
    }

    // Two units, one for each of two threads: the caller's takes a microsecond, the helper's as long as it is told. Ends only if both came.
    private static void RunShared(CpuTeam team, CountedTime time, TimeSpan late)
    {
        using var both = new Barrier(2);
        int looks = time.Looks;
        team.Run(
            new Work((_, _, worker) =>
            {
                Assert.True(both.SignalAndWait(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken), "The work is not shared.");
                if (worker == 0)
                {
                    time.Advance(TimeSpan.FromMicroseconds(1));
                    return;
                }

                // The caller looks at the clock when it begins, and when it finds no unit any more.
                Assert.True(SpinWait.SpinUntil(() => time.Looks >= looks + 2, TimeSpan.FromMinutes(1)));
                time.Advance(late);
            }),
            phase: 0,
            units: 2);
    }

    private static int[] Workers(CpuTeam team)
    {
        int[] workers = new int[50];
        team.Run(new Work((_, unit, worker) => workers[unit] = worker), phase: 1, units: workers.Length);
        return workers;
    }

    private sealed class CountedTime : TimeProvider
    {
        private long _now = 1;
        private int _looks;

        public int Looks => Volatile.Read(ref _looks);

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp()
        {
            long now = Interlocked.Read(ref _now);
            Interlocked.Increment(ref _looks);
            return now;
        }

        public void Advance(TimeSpan time) => Interlocked.Add(ref _now, time.Ticks);
    }

    private sealed class Work(Action<int, int, int> action) : ICpuWork
    {
        public void Do(int phase, int unit, int worker) => action(phase, unit, worker);
    }
}
