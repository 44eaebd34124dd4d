using Microsoft.Extensions.DependencyInjection;

namespace Moe.Plugins.Cli.Tests;

/// <summary>A benchmark of backends that are part of the tests.</summary>
internal sealed record Bench(int ExitCode, string Output, string Error, BenchResult? Result)
{
    public static MoeLayerShape Shape { get; } = new() { ExpertCount = 8, HiddenSize = 96, IntermediateSize = 64, TopK = 2 };

    public static BenchSettings Settings { get; } = new() { Shapes = [Shape], Tokens = [1, 3], Seconds = 0.005 };

    public static async Task<Bench> Run(Action<IMoeBuilder> addBackends, BenchSettings? settings = null, bool asJson = false)
    {
        using var folder = new TemporaryFolder();
        string json = folder.File("result.json");
        var services = new ServiceCollection();
        addBackends(services.AddMoeBackend<RightPlugin>());
        await using ServiceProvider provider = services.BuildServiceProvider();
        using var output = new StringWriter();
        using var error = new StringWriter();
        using var console = new CommandConsole(output, error) { AsJson = asJson };
        int exitCode;
        try
        {
            exitCode = BenchCommand.Execute(
                provider.GetRequiredService<MoeHost>(), (settings ?? Settings) with { OutputPath = json }, console, TestContext.Current.CancellationToken);
        }
        catch (CommandException exception)
        {
            console.WriteError(exception.ExitCode, exception.Message, exception.Partial);
            exitCode = exception.ExitCode;
        }

        return new Bench(exitCode, output.ToString(), error.ToString(), File.Exists(json) ? BenchResult.Load(json) : null);
    }

    /// <summary>Runs the one backend.</summary>
    public static Task<Bench> Run<TPlugin>(BenchSettings? settings = null, bool asJson = false)
        where TPlugin : IMoePlugin, new() =>
        Run(builder => builder.AddBackend<TPlugin>("It"), (settings ?? Settings) with { Backends = ["It"] }, asJson);
}
