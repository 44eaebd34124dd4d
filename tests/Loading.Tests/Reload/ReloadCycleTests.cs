using System.Globalization;
using System.Runtime.Loader;

namespace Moe.Plugins.Tests;

/// <summary>Memory stays where it is, however often a plugin is replaced.</summary>
public sealed class ReloadCycleTests(ITestOutputHelper output)
{
    /// <summary>How many reloads to do; the test suite does a few hundred.</summary>
    private const string CountVariable = "MOE_RELOAD_CYCLES";

    private const int MostContexts = 2;

    /// <summary>Bytes of live managed memory that all but the first tenth of the reloads may add.</summary>
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
                seen.Add(Measure(cycle, folder.Drop.Staging));
                output.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{seen[^1].Cycle} reloads: {seen[^1].Managed / 1e6:0.0} MB managed, {seen[^1].Resident / 1e6:0} MB resident, {seen[^1].Contexts} contexts"));
            }
        }

        Assert.InRange(seen[^1].Managed - seen[0].Managed, long.MinValue, ManagedAllowance);
        Assert.InRange(seen[^1].Resident - seen[0].Resident, long.MinValue, ResidentAllowance);
        Assert.True(Contexts.FallTo(MostContexts, folder.Drop.Staging), "One context is active; another may be about to go.");
    }

    private static (int Cycle, long Managed, long Resident, int Contexts) Measure(int cycle, string staging)
    {
        // What waits to be unloaded is counted neither as kept nor as freed.
        Contexts.FallTo(MostContexts, staging);
        for (int i = 0; i < 3; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        return (cycle, GC.GetTotalMemory(forceFullCollection: true), Environment.WorkingSet, AssemblyLoadContext.All.Count());
    }
}
