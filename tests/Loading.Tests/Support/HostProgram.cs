using System.Globalization;
using System.Diagnostics;

namespace Moe.Plugins.Tests;

/// <summary>Starts the program that has a host, in a process of its own.</summary>
internal static class HostProgram
{
    private static readonly string Program = Path.Combine(
        AppContext.BaseDirectory.Replace($"{Path.DirectorySeparatorChar}Loading.Tests{Path.DirectorySeparatorChar}", $"{Path.DirectorySeparatorChar}HostProgram{Path.DirectorySeparatorChar}", StringComparison.Ordinal),
        "HostProgram.dll");

    /// <summary>Starts it as another user than root, who may have so many threads, and to whom all of the folder is given.</summary>
    public static Process StartAsNobody(DropFolder drop, IReadOnlyDictionary<string, string> settings, int? threads = null)
    {
        const string Nobody = "65534";
        using (var give = Process.Start("chown", ["-R", Nobody, drop.Root]))
        {
            give.WaitForExit();
        }

        return Start(
            drop,
            settings,
            "setpriv",
            ["--reuid", Nobody, "--clear-groups", "bash", "-c", string.Create(CultureInfo.InvariantCulture, $"{(threads is null ? "" : $"ulimit -u {threads}; ")}exec \"$@\""), "-", "dotnet", Program, "start"]);
    }

    public static Process Start(DropFolder drop, IReadOnlyDictionary<string, string> settings, params string[] arguments) =>
        Start(drop, settings, "dotnet", [Program, .. arguments]);

    private static Process Start(DropFolder drop, IReadOnlyDictionary<string, string> settings, string file, string[] arguments)
    {
        var start = new ProcessStartInfo(file, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            Environment =
            {
                ["Moe__PluginFolders"] = drop.Plugins,
                ["Moe__StagingFolder"] = drop.Staging,
                ["DOTNET_TieredCompilation"] = "1",
                ["DOTNET_DbgEnableMiniDump"] = "0",
            },
        };
        foreach ((string key, string value) in settings)
        {
            start.Environment[key] = value;
        }

        return Process.Start(start)!;
    }

    /// <summary>What it wrote, once it has ended by itself, and well.</summary>
    public static async Task<string> ReadAsync(Process process, CancellationToken cancellationToken)
    {
        (int exitCode, string output) = await EndAsync(process, cancellationToken);
        Assert.True(exitCode == 0, $"exit code {exitCode}: {output}");
        return output;
    }

    /// <summary>How it ended by itself, and what it wrote; what it wrote to standard error where it did not end well.</summary>
    public static async Task<(int ExitCode, string Output)> EndAsync(Process process, CancellationToken cancellationToken)
    {
        Task<string> output = process.StandardOutput.ReadToEndAsync(cancellationToken);
        Task<string> error = process.StandardError.ReadToEndAsync(cancellationToken);
        await process.WaitForExitAsync(cancellationToken);

        // A process that a plugin has left behind holds the outputs, and reads what is closed here.
        process.StandardInput.Close();
        return (process.ExitCode, process.ExitCode == 0 ? await output : await output + await error);
    }
}
