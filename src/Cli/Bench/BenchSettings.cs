using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>What `moe bench` was asked for.</summary>
internal sealed record BenchSettings
{
    public const string Uniform = "uniform";
    public const string Skewed = "skewed";

    /// <summary>Backends by id; none for all that run on the device.</summary>
    public IReadOnlyList<string> Backends { get; init; } = [];

    /// <summary>What names them, for messages.</summary>
    public string NamedBy { get; init; } = CommandOptions.Backend.Name;

    public IReadOnlyList<MoeLayerShape> Shapes { get; init; } = [MoeLayerShape.GptOss20B];

    /// <summary>The weights' format for shapes that do not say; null for what each backend is made for.</summary>
    public MoeWeightFormat? Weights { get; init; }

    public IReadOnlyList<int> Tokens { get; init; } = [1, 2, 4, 8, 16, 32, 64, 128];

    /// <summary><see cref="Uniform"/>, <see cref="Skewed"/> or a file.</summary>
    public string Routing { get; init; } = Uniform;

    public MoeDevice? Device { get; init; }

    public int Seed { get; init; } = 1;

    /// <summary>Time for the replays of one row.</summary>
    public double Seconds { get; init; } = 1;

    /// <summary>The most replays of one row.</summary>
    public int Replays { get; init; } = 100;

    /// <summary>Milliseconds without work before each replay of a row.</summary>
    public int Rest { get; init; }

    /// <summary>The file that results go to; null for none.</summary>
    public string? OutputPath { get; init; }

    /// <summary>Where the picture goes; null for nowhere.</summary>
    public string? PlotPath { get; init; }

    /// <summary>Others' figures for the picture; null for none.</summary>
    public PeerFigures? Peers { get; init; }

    /// <summary>The routing's name in a result.</summary>
    public string RoutingName => Routing is Uniform or Skewed ? Routing : Path.GetFileName(Routing);

    /// <exception cref="CommandException">The routing is none.</exception>
    /// <exception cref="MoeException">An output cannot be written, or the peers' file is none.</exception>
    public static BenchSettings Read(ParseResult result)
    {
        var defaults = new BenchSettings();
        string? peers = result.GetValue(BenchOptions.Peers);
        return new BenchSettings
        {
            Backends = result.GetValue(BenchOptions.Backends) ?? [],
            Shapes = result.GetValue(BenchOptions.Shapes) is { Length: > 0 } shapes ? shapes : defaults.Shapes,
            Weights = result.GetValue(BenchOptions.Weights),
            Tokens = result.GetValue(BenchOptions.Tokens) is { Length: > 0 } tokens ? [.. tokens.Distinct().Order()] : defaults.Tokens,
            Routing = KnownRouting(result.GetValue(BenchOptions.Routing) ?? defaults.Routing),
            Device = result.GetValue(CommandOptions.Device),
            Seed = result.GetValue(CommandOptions.Seed) ?? defaults.Seed,
            Seconds = result.GetValue(BenchOptions.Seconds) ?? defaults.Seconds,
            Replays = result.GetValue(BenchOptions.Replays) ?? defaults.Replays,
            Rest = result.GetValue(BenchOptions.Rest) ?? defaults.Rest,
            OutputPath = Writable(result, BenchOptions.Output),
            PlotPath = Writable(result, BenchOptions.Plot),
            Peers = peers is null ? null : PeerFigures.Load(peers),
        };
    }

    /// <summary>A file that can be written, as far as that can be said before the work.</summary>
    /// <exception cref="MoeException">It cannot.</exception>
    public static string? Writable(ParseResult result, Option<string?> option)
    {
        string? path = result.GetValue(option);
        if (path is not null)
        {
            WholeFile.Check(path);
        }

        return path;
    }

    private static string KnownRouting(string routing) =>
        routing is Uniform or Skewed || FileKinds.Of(routing, followLinks: true) == FileKind.Regular
            ? routing
            : throw new CommandException(
                ExitCode.BadInput,
                $"--routing is '{PlainText.Of(routing)}'; {Uniform}, {Skewed} or a file is expected.{DidYouMean.Ask(routing, [Uniform, Skewed])}");
}
