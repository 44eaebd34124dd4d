using System.Globalization;
using System.Runtime.Loader;

namespace Moe.Plugins.Tests;

/// <summary>Memory stays where it is, however often a plugin is replaced.</summary>
public sealed class ReloadCycleTests(ITestOutputHelper output)
{
    /// <summary>How many reloads to do; the test suite does a few hundred.</summary>
    private const string CountVariable = "MOE_RELOAD_CYCLES";

    /// <summary>Bytes of live managed memory that the last third of the reloads may have more than the first.</summary>
    private const long ManagedAllowance = 4 << 20;

    /// <summary>The same of the process's memory, in which the runtime keeps what it likes.</summary>
    private const long ResidentAllowance = 64 << 20;

    [Fact]
    public async Task Memory_is_steady_over_many_reloads()
    {
        int cycles = int.Parse(Environment.GetEnvironmentVariable(CountVariable) ?? "200", CultureInfo.InvariantCulture);
        using var folder = new WorkingFolder();
        byte[][] versions = [WorkingFolder.Version(1), WorkingFolder.Version(2)];
        await using MoeHost host = folder.Drop.Load();
        var seen = new List<(int Cycle, long Managed, long Resident, int Contexts)>();
        for (int cycle = 1; cycle <= cycles; cycle++)
        {
            folder.RenameOver(versions[cycle % 2]);
            Assert.Equal(MoeReloadOutcome.Replaced, (await host.ReloadAsync("Working", TestContext.Current.CancellationToken)).Outcome);
            using (MoeLayer layer = WorkingFolder.CreateLayer(host))
            {
                Assert.Equal(1 + (cycle % 2), WorkingFolder.Run(layer));
            }

            if (cycle % Math.Max(cycles / 10, 1) == 0)
            {
                seen.Add(Measure(cycle));
                output.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{seen[^1].Cycle} reloads: {seen[^1].Managed / 1e6:0.0} MB managed, {seen[^1].Resident / 1e6:0} MB resident, {seen[^1].Contexts} contexts"));
            }
        }

        Assert.InRange(Growth(seen.ConvertAll(measured => measured.Managed)), long.MinValue, ManagedAllowance);
        Assert.InRange(Growth(seen.ConvertAll(measured => measured.Resident)), long.MinValue, ResidentAllowance);
        Assert.True(Contexts.LoadedFrom(folder.Drop.Staging).Length <= 2, "One context is active; another may be about to go.");
    }

    /// <summary>Between the medians of the first and the last third: what the runtime counts while it unloads may be off, even below zero.</summary>
    private static long Growth(List<long> values)
    {
        int third = Math.Max(values.Count / 3, 1);
        return Median(values[^third..]) - Median(values[..third]);

        static long Median(List<long> some) => some.Order().ElementAt(some.Count / 2);
    }

    private static (int Cycle, long Managed, long Resident, int Contexts) Measure(int cycle)
    {
        for (int i = 0; i < 3; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        return (cycle, GC.GetTotalMemory(forceFullCollection: true), Environment.WorkingSet, AssemblyLoadContext.All.Count());
    }
}
