using System.Diagnostics;
using System.Globalization;
using System.Reflection;

namespace Moe.Plugins.Cli;

/// <summary>Measures reductions between processes, one for each rank, which this program starts: itself, told which rank it is.</summary>
internal static class ReductionProcesses
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    /// <summary>Starts the ranks, and waits for what the first of them has measured.</summary>
    /// <param name="settings">What to measure.</param>
    /// <param name="folders">Plugin folders that were named.</param>
    /// <param name="group">The plugin of the group.</param>
    /// <param name="plan">Its plan.</param>
    /// <param name="cancellationToken">Ends them early.</param>
    /// <exception cref="MoeException">A rank failed.</exception>
    public static IReadOnlyList<ReductionRow> Measure(
        ParallelSettings settings, IReadOnlyList<string> folders, string group, string plan, CancellationToken cancellationToken)
    {
        string folder = Directory.CreateTempSubdirectory("moe-bench").FullName;
        string output = Path.Combine(folder, "rows.json");
        List<Process> processes = [];
        try
        {
            for (int rank = 0; rank < settings.Devices.Count; rank++)
            {
                processes.Add(Start(Arguments(settings, folders, group, plan, rank, folder, output)));
            }

            Task<string>[] errors = [.. processes.Select(process => process.StandardError.ReadToEndAsync(cancellationToken))];
            Task[] ends =
            [
                .. processes.Select(process => process.WaitForExitAsync(cancellationToken)),
                .. processes.Select(process => process.StandardOutput.ReadToEndAsync(cancellationToken)),
            ];
            if (!Task.WaitAll(ends, (int)Patience.TotalMilliseconds, cancellationToken))
            {
                throw new MoeException(MoeReason.TimedOut, $"Processes of ranks that measure {plan} have not ended within {Patience.TotalMinutes:0} minutes.");
            }

            int failed = processes.FindIndex(process => process.ExitCode != ExitCode.Ok);
            return failed < 0
                ? ParallelResult.Load(output).Reductions
                : throw new MoeException(MoeReason.PeerFailed, $"The process of rank {failed}, which measures {plan}, has failed: {PlainText.Of(errors[failed].Result.Trim())}");
        }
        finally
        {
            processes.ForEach(End);
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Ends a rank, with what it has started, and waits for it: it may still write into the folder.</summary>
    internal static void End(Process process)
    {
        using (process)
        {
            try
            {
                process.Kill(entireProcessTree: true);
            }
            catch (InvalidOperationException)
            {
                // It has ended.
            }

            process.WaitForExit();
        }
    }

    private static IEnumerable<string> Arguments(
        ParallelSettings settings, IReadOnlyList<string> folders, string group, string plan, int rank, string folder, string output) =>
    [
        "bench", "parallel",
        "--only", ParallelOptions.Reductions,
        "--devices", string.Join(',', settings.Devices),
        "--tokens", string.Join(',', settings.Tokens),
        "--width", Text(settings.Width),
        "--seed", Text(settings.Bench.Seed),
        "--seconds", settings.Bench.Seconds.ToString(CultureInfo.InvariantCulture),
        "--replays", Text(settings.Bench.Replays),
        "--group", group,
        "--plan", plan,
        ParallelOptions.RankName, $"{rank}:{Path.Combine(folder, "ranks", "meet")}",
        .. folders.SelectMany(of => new[] { "--plugins", of }),
        .. rank == 0 ? new[] { "--output", output } : [],
    ];

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static Process Start(IEnumerable<string> arguments)
    {
        // Run by the .NET host, or from another program that has this one's library.
        const string Host = "dotnet";
        bool isHosted = Path.GetFileNameWithoutExtension(Environment.ProcessPath) == Host;
        bool isProgram = !isHosted && Assembly.GetEntryAssembly() == typeof(ReductionProcesses).Assembly;
        var start = new ProcessStartInfo(isHosted || isProgram ? Environment.ProcessPath! : Host) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (!isProgram)
        {
            start.ArgumentList.Add(typeof(ReductionProcesses).Assembly.Location);
        }

        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        return Process.Start(start)!;
    }
}
