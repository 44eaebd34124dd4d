using System.Diagnostics;
using System.Text.Json;

namespace Moe.Plugins.Cli.Tests;

/// <summary>Runs the program's own entry with arguments, and keeps what it prints.</summary>
internal sealed record Cli(int ExitCode, string Output, string Error)
{
    public static Task<Cli> Run(params string[] arguments) => RunAt(width: null, arguments);

    /// <summary>Runs it where lines have so many columns.</summary>
    public static async Task<Cli> RunAt(int? width, params string[] arguments)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        using var console = new CommandConsole(output, error, width);
        int exitCode = await MoeCommandLine.InvokeAsync(arguments, console);
        return new Cli(exitCode, output.ToString(), error.ToString());
    }

    /// <summary>Runs the program in a process of its own, as a shell does.</summary>
    public static Task<Cli> RunProgram(params string[] arguments) => RunProgramIn([], arguments);

    /// <summary>The same with variables in its environment.</summary>
    public static async Task<Cli> RunProgramIn(IReadOnlyList<(string Name, string Value)> environment, params string[] arguments)
    {
        string program = Path.Combine(AppContext.BaseDirectory, "Moe.Plugins.Cli.dll");
        var start = new ProcessStartInfo("dotnet", [program, .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }

        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return new Cli(process.ExitCode, output, await error);
    }

    public static string Golden(string name) => Path.Combine(AppContext.BaseDirectory, "golden", $"{name}.safetensors");

    /// <summary>The folder of a tiny model of some family.</summary>
    public static string Family(string name) => Path.Combine(AppContext.BaseDirectory, "golden", "families", name);

    /// <summary>The one JSON object that the command printed; nothing else may stand there.</summary>
    public JsonElement Json()
    {
        Assert.True(ExitCode == 0, $"Exit code {ExitCode}: {Error}");
        Assert.Equal("", Error);
        return JsonDocument.Parse(Output).RootElement;
    }
}
