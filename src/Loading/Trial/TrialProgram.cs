using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;

namespace Moe.Plugins;

/// <summary>
/// Knows how to start <c>moe-trial.dll</c>, which lies beside this library: with the <c>dotnet</c> of the runtime that runs the program, and
/// with the program's own dependencies and frameworks, so that the plugin meets there what it will meet here.
/// </summary>
internal sealed record TrialProgram(string Dotnet, IReadOnlyList<string> Arguments)
{
    private const string FileName = "moe-trial.dll";

    /// <summary>Looks for it.</summary>
    /// <param name="missing">Where there is none: why.</param>
    public static TrialProgram? Find(out string missing)
    {
        // Empty in a program that is a single file.
        string beside = AppContext.BaseDirectory;
        string trial = Path.Combine(beside, FileName);
        if (!File.Exists(trial))
        {
            missing = $"{FileName} is not beside the program, in {beside}";
            return null;
        }

        // <dotnet>/shared/Microsoft.NETCore.App/<version>/; a self-contained program has its runtime in its own folder.
        string runtime = RuntimeEnvironment.GetRuntimeDirectory().TrimEnd(Path.DirectorySeparatorChar);
        string dotnet = Path.GetFullPath(Path.Combine(runtime, "..", "..", "..", OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet"));
        if (!File.Exists(dotnet))
        {
            missing = $"the program carries its own runtime, and there is no {dotnet} to start {FileName} with";
            return null;
        }

        missing = "";
        string name = Assembly.GetEntryAssembly()?.GetName().Name ?? "";
        string own = Path.Combine(beside, name + ".runtimeconfig.json");
        string config = File.Exists(own) ? own : Path.ChangeExtension(trial, "runtimeconfig.json");
        string dependencies = Path.Combine(beside, name + ".deps.json");
        return new TrialProgram(
            dotnet,
            [
                "exec",
                "--runtimeconfig",
                config,
                .. File.Exists(dependencies) ? (string[])["--depsfile", dependencies] : [],
                trial,
            ]);
    }

    public ProcessStartInfo Start(params IEnumerable<string> arguments) => new(Dotnet, Arguments.Concat(arguments))
    {
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
        RedirectStandardError = true,
        UseShellExecute = false,
        CreateNoWindow = true,

        // A crash is what it is there for: nobody wants a dump of each.
        Environment = { ["DOTNET_DbgEnableMiniDump"] = "0" },
    };
}
