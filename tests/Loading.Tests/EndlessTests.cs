using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Moe.Plugins.Tests;

/// <summary>Hosts that start together, and hosts that are ended or held up at any moment: no innocent plugin is refused or quarantined for it.</summary>
public sealed partial class EndlessTests(ITestOutputHelper output) : IDisposable
{
    /// <summary>How many starts of three processes to do; the test suite does a few.</summary>
    private const string StartsVariable = "MOE_COLD_STARTS";

    /// <summary>How many processes to end or to suspend; the test suite does a few.</summary>
    private const string EndsVariable = "MOE_RANDOM_ENDS";

    /// <summary>Where the moments begin, which is how a failure is repeated.</summary>
    private const string FirstVariable = "MOE_RANDOM_FIRST";

    private static readonly TimeSpan Suspension = TimeSpan.FromSeconds(1);

    private readonly DropFolder _drop = new DropFolder().With("Good", "Working");

    [Theory]
    [InlineData("Child")]
    [InlineData("InProcess")]
    public async Task Three_that_start_together_refuse_nothing(string trial)
    {
        int starts = Number(StartsVariable, 3);
        for (int start = 0; start < starts; start++)
        {
            Forget();
            Process[] processes = [.. Enumerable.Range(0, 3).Select(_ => Start(trial, "start"))];
            string[] texts = await Task.WhenAll(processes.Select(process => HostProgram.ReadAsync(process, TestContext.Current.CancellationToken)));
            foreach (string text in texts)
            {
                string[] lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
                Assert.All(lines, line => Assert.EndsWith("Activated None", line.Trim(), StringComparison.Ordinal));
                Assert.Equal(2, lines.Length);
            }

            Array.ForEach(processes, static process => process.Dispose());
        }

        output.WriteLine($"{starts} starts of three processes, trial {trial}: nothing refused.");
    }

    [Fact]
    public async Task Whoever_is_ended_or_suspended_at_any_moment_leaves_nothing_that_counts()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Windows has no signals.");
        int ends = Number(EndsVariable, 12);
        int first = Number(FirstVariable, 0);
        string lockFile = Path.Combine(_drop.Root, "moe.plugins.lock.json");
        MoePluginFolder.Read(Path.Combine(_drop.Plugins, "Good")).PinIn(lockFile);
        for (int number = first; number < first + ends; number++)
        {
            var random = new Random(number);
            string work = (number % 4) switch { 0 => "reload", 1 => "trust", _ => "start" };
            int signal = (number % 3) switch { 0 => 9, 1 => 15, _ => 19 };
            if (number % 5 == 0)
            {
                // A new user: everything is copied and tried.
                Forget();
                _drop.WithFile("Good", "version.txt", BitConverter.GetBytes(number));
            }

            using Process process = work == "trust"
                ? Start("Child", work, Path.Combine(_drop.Plugins, "Good"))
                : Start(number % 2 == 0 ? "Child" : "InProcess", work);
            await Task.Delay(random.Next(50, 1200), TestContext.Current.CancellationToken);
            if (signal == 19)
            {
                _ = kill(process.Id, signal);
                await Task.Delay(Suspension, TestContext.Current.CancellationToken);
                _ = kill(process.Id, 18);
                await Task.Delay(random.Next(50, 500), TestContext.Current.CancellationToken);
                process.Kill();
            }
            else
            {
                _ = kill(process.Id, signal);
            }

            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
            AssertInnocent(number, lockFile);
        }

        // What was left out of a start is there again at the next.
        using (Process again = Start("Child", "start"))
        {
            await HostProgram.ReadAsync(again, TestContext.Current.CancellationToken);
        }

        using Process last = Start("Child", "start");
        string text = await HostProgram.ReadAsync(last, TestContext.Current.CancellationToken);
        Assert.All(text.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.EndsWith("Activated None", line.Trim(), StringComparison.Ordinal));
        Assert.DoesNotContain(Directory.GetFiles(Path.Combine(_drop.Staging, ".verdicts")), file => file.EndsWith(".tmp", StringComparison.Ordinal) || file.EndsWith(".loading", StringComparison.Ordinal));
        Assert.DoesNotContain(Directory.GetDirectories(_drop.Staging, "*", SearchOption.AllDirectories), folder => Path.GetFileName(folder).StartsWith("copying-", StringComparison.Ordinal));
        output.WriteLine($"{ends} ends and suspensions from {first} on: no verdict, no half-written file.");
    }

    public void Dispose() => _drop.Dispose();

    private static int Number(string variable, int otherwise) =>
        int.Parse(Environment.GetEnvironmentVariable(variable) ?? otherwise.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);

    private void Forget()
    {
        if (Directory.Exists(_drop.Staging))
        {
            Directory.Delete(_drop.Staging, recursive: true);
        }
    }

    // Every file that has its name is whole: verdicts read and are harmless, copies have the content that they are named by, the lock file parses.
    private void AssertInnocent(int number, string lockFile)
    {
        string verdicts = Path.Combine(_drop.Staging, ".verdicts");
        string[] files = Directory.Exists(verdicts) ? Directory.GetFiles(verdicts, "*.json") : [];
        TrialVerdict[] read = [.. new VerdictStore(_drop.Staging).All()];
        Assert.Equal(files.Length, read.Length);
        Assert.All(read, verdict => Assert.True(verdict.IsHarmless, $"{number}: {verdict}"));
        Assert.NotNull(PluginLock.Read(lockFile).Find("Good"));
        foreach (string id in (string[])["Good", "Working"])
        {
            string parent = Path.Combine(_drop.Staging, id);
            foreach (string copy in Directory.Exists(parent) ? Directory.GetDirectories(parent) : [])
            {
                string name = Path.GetFileName(copy);
                Assert.True(name.StartsWith("copying-", StringComparison.Ordinal) || PluginContent.Read(copy).Hash == name, $"{number}: {copy}");
            }
        }
    }

    private Process Start(string trial, params string[] arguments) => HostProgram.Start(
        _drop,
        new Dictionary<string, string> { ["Moe__Trial"] = trial, ["Moe__LockFile"] = Path.Combine(_drop.Root, "moe.plugins.lock.json") },
        arguments);

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int kill(int process, int signal);
}
