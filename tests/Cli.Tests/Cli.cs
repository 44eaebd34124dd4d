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

    public static string Golden(string name) => Path.Combine(AppContext.BaseDirectory, "golden", $"{name}.safetensors");

    /// <summary>The one JSON object that the command printed; nothing else may stand there.</summary>
    public JsonElement Json()
    {
        Assert.True(ExitCode == 0, $"Exit code {ExitCode}: {Error}");
        Assert.Equal("", Error);
        return JsonDocument.Parse(Output).RootElement;
    }
}
