using System.Collections.Concurrent;
using System.Diagnostics;

namespace Moe.Plugins.Tests;

/// <summary>Whatever a plugin does to the process that all are in, short of ending it, the host in it serves the layers of others, and ends by itself.</summary>
public sealed class MisbehavingProcessTests
{
    private static readonly string[] Modes =
    [
        "console", "chatter", "stdin", "culture", "folder", "environment",
        "pool", "threads", "priority", "context", "resolving", "unobserved",
        "unload", "lock", "memory", "timer", "logs", "handles",
        "process", "exitcode", "settings", "rewrite", "staging", "slow",
    ];

    /// <summary>Two of them do little but wait, twice, until their trial is over. The others are let wait for a busy machine.</summary>
    private static readonly string[] Waiting = ["stdin", "pool"];

    /// <summary>Each mode in a process of its own, as many at once as there are processors, and the two that wait beside them.</summary>
    [Fact]
    public async Task What_is_done_to_the_process_keeps_no_layer_from_being_served()
    {
        var failed = new ConcurrentBag<string>();
        var degree = new ParallelOptions
        {
            MaxDegreeOfParallelism = Environment.ProcessorCount + Waiting.Length,
            CancellationToken = TestContext.Current.CancellationToken,
        };
        await Parallel.ForEachAsync(Waiting.Union(Modes), degree, async (mode, token) =>
        {
            (int exitCode, string output) = await ServeAsync(mode, token);

            // A console that it took away says nothing; the exit code does.
            if (exitCode != 0 || (mode != "console" && !output.Contains("served 200 of 200", StringComparison.Ordinal)))
            {
                failed.Add($"{mode}: exit code {exitCode}: {PlainText.OfMessage(output)}");
            }
        });
        Assert.Empty(failed);
    }

    private static async Task<(int ExitCode, string Output)> ServeAsync(string mode, CancellationToken cancellationToken)
    {
        using DropFolder drop = new DropFolder().With("Working", "Misbehaving");
        using Process process = HostProgram.Start(
            drop,
            new Dictionary<string, string>
            {
                ["Moe__Plugins__Misbehaving__mode"] = $"world:{mode}",
                ["Moe__ActivationTimeout"] = Waiting.Contains(mode) ? "00:00:03" : "00:00:20",
            },
            "serve");
        return await HostProgram.EndAsync(process, cancellationToken);
    }
}
