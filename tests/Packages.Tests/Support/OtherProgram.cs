using System.Diagnostics;

namespace Moe.Plugins.Packages.Tests;

/// <summary>Runs a program, as somebody would who has only the packages.</summary>
internal sealed record OtherProgram(int ExitCode, string Output)
{
    /// <summary>Names the folder that packages are restored to, and overrules every nuget.config.</summary>
    public const string PackagesVariable = "NUGET_PACKAGES";

    /// <summary>Runs a program; what it writes to either stream is kept.</summary>
    public static async Task<OtherProgram> RunAsync(string file, string folder, IEnumerable<string> arguments, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(file, arguments) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };

        // What the test runner was started with is not meant for other programs.
        foreach (string name in start.Environment.Keys.Where(name => name.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase)).ToArray())
        {
            start.Environment.Remove(name);
        }

        start.Environment.Remove(PackagesVariable);

        // What the SDK says is read by tests, whatever language its user has.
        start.Environment["DOTNET_CLI_UI_LANGUAGE"] = "en";
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(cancellationToken);
        Task<string> error = process.StandardError.ReadToEndAsync(cancellationToken);
        await process.WaitForExitAsync(cancellationToken);
        return new OtherProgram(process.ExitCode, await output + await error);
    }

    /// <summary>Runs the SDK; what it does not do is an error with all that it said.</summary>
    public static async Task<string> DotnetAsync(string folder, CancellationToken cancellationToken, params IEnumerable<string> arguments)
    {
        OtherProgram result = await RunAsync("dotnet", folder, arguments, cancellationToken);
        return result.ExitCode == 0 ? result.Output : throw new InvalidOperationException($"dotnet {string.Join(' ', arguments)}: {result.Output}");
    }
}
