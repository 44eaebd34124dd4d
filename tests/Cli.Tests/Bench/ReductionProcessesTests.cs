using System.Diagnostics;
using System.Globalization;

namespace Moe.Plugins.Cli.Tests;

/// <summary>Ranks of a measurement that are processes end with it.</summary>
public sealed class ReductionProcessesTests
{
    [Fact]
    public async Task A_rank_ends_with_what_it_has_started()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The shell and /proc are Linux's.");
        Process rank = Start("sleep 600 & echo $!; wait");
        string? started = await rank.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken);
        int number = rank.Id;
        string other = $"/proc/{int.Parse(started!, CultureInfo.InvariantCulture)}/stat";
        Assert.True(File.Exists(other));

        ReductionProcesses.End(rank);

        Assert.False(Directory.Exists($"/proc/{number}"), "The rank has not ended.");

        Assert.True(SpinWait.SpinUntil(() => IsOver(other), TimeSpan.FromSeconds(20)), "What it started goes on.");
    }

    [Fact]
    public async Task A_rank_that_has_ended_is_no_error()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The shell is Linux's.");
        Process rank = Start("exit 3");
        await rank.WaitForExitAsync(TestContext.Current.CancellationToken);

        ReductionProcesses.End(rank);
    }

    // Whoever adopted it may not have looked yet: it is dead, and listed.
    private static bool IsOver(string path)
    {
        try
        {
            return File.ReadAllText(path).Contains(") Z ", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return true;
        }
    }

    private static Process Start(string command) =>
        Process.Start(new ProcessStartInfo("/bin/sh", ["-c", command]) { RedirectStandardOutput = true })!;
}
