using System.Collections.Concurrent;
using System.Diagnostics;

namespace Moe.Plugins.Tests;

/// <summary>Whatever a plugin does to the process that all are in, short of ending it, the host in it serves the layers of others, and ends by itself.</summary>
public sealed class MisbehavingProcessTests
{
    // What takes nothing from another is done in one process.
    private static readonly string[] Modes =
    [
        "console", "folder+environment+hooks+umask", "nowhere+children", "lock+unload", "chatter+rewrite", "staging+settings",
        "culture+priority+context+threads+timer+logs+handles+memory", "resolving+unobserved+exitcode+slow+assemblyload+events",
        "meters+activities", "samples+terminate+process", "ends+noregion+affinity", "allmeters+unobserver", "firstchance", "resolver+files", "exitthrow",
    ];

    /// <summary>These do little but wait, twice, until their trial is over. The others are let wait for a busy machine.</summary>
    private static readonly string[] Waiting = ["stdin", "pool", "exithang", "finalizer", "consolelock+throw"];

    /// <summary>After these the other plugin is another version, which is copied and tried in what is left of the process.</summary>
    private static readonly string[] Changing = ["folder+environment+hooks+umask", "nowhere+children"];

    /// <summary>Each in a process of its own, as many at once as there are processors, and those that wait beside them.</summary>
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
            using DropFolder drop = new DropFolder().With("Working", "Misbehaving");
            (int exitCode, string output) = await ServeAsync(drop, mode, token);

            // A console that it took away says nothing; the exit code does.
            bool isServed = exitCode == 0 && (mode == "console" || output.Contains("served 200 of 200", StringComparison.Ordinal));
            bool isReplaced = !Changing.Contains(mode) || output.Contains("Replaced: ", StringComparison.Ordinal);
            if (!isServed || !isReplaced || MayOthersWrite(drop.Staging))
            {
                failed.Add($"{mode}: exit code {exitCode}: {PlainText.OfMessage(output)}");
            }
        });
        Assert.Empty(failed);
    }

    private static async Task<(int ExitCode, string Output)> ServeAsync(DropFolder drop, string mode, CancellationToken cancellationToken)
    {
        // The trial of the other plugin has tests of its own.
        string working = Path.Combine(drop.Plugins, "Working");
        new VerdictStore(drop.Staging).Keep(new TrialVerdict("Working", "0.1.0", PluginContent.Read(working).Hash, MoeReason.None, "", VerdictStore.Runtime, 20, ""));
        using Process process = HostProgram.Start(
            drop,
            new Dictionary<string, string>
            {
                ["Moe__Plugins__Misbehaving__mode"] = $"world:{mode}",
                ["Moe__ActivationTimeout"] = Waiting.Contains(mode) ? "00:00:03" : "00:00:20",
            },
            ["serve", .. Changing.Contains(mode) ? (string[])[Path.Combine(working, "note.txt")] : []]);
        return await HostProgram.EndAsync(process, cancellationToken);
    }

    private static bool MayOthersWrite(string folder) =>
        Directory.Exists(folder)
        && Directory.EnumerateFileSystemEntries(folder, "*", SearchOption.AllDirectories).Any(static entry =>
            !OperatingSystem.IsWindows() && (File.GetUnixFileMode(entry) & (UnixFileMode.OtherWrite | UnixFileMode.GroupWrite)) != 0);
}
