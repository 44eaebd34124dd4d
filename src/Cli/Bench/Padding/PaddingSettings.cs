using System.CommandLine;

namespace Moe.Plugins.Cli;

/// <summary>What `moe bench padding` was asked for: a benchmark's settings, with options and defaults of its own.</summary>
internal static class PaddingSettings
{
    private const string DefaultBackend = "Mxfp4.Sm100";
    private const int MostTokens = 4096;

    public static Option<string[]> Backends { get; } = BenchOptions.BackendsOr(DefaultBackend);

    public static Option<MoeLayerShape[]> Shapes { get; } = BenchOptions.ShapesOr("gpt-oss-20b and gpt-oss-120b");

    public static Option<int[]> Tokens { get; } = BenchOptions.TokensOr($"1 to {MostTokens} in powers of two");

    public static Option<string?> Plot { get; } = CommandOptions.Text(
        "--plot", "FILE.png", "Draw the results: the share of a layer's time that is saved, over tokens.");

    /// <exception cref="MoeException">An output cannot be written.</exception>
    public static BenchSettings Read(ParseResult result)
    {
        var defaults = new BenchSettings();
        (string[] backends, string namedBy) = BenchOptions.BackendsOf(result, Backends, DefaultBackend);
        return new BenchSettings
        {
            Backends = backends,
            NamedBy = namedBy,
            Shapes = result.GetValue(Shapes) is { Length: > 0 } shapes ? shapes : [MoeLayerShape.GptOss20B, MoeLayerShape.GptOss120B],
            Tokens = result.GetValue(Tokens) is { Length: > 0 } tokens ? [.. tokens.Distinct().Order()] : PowersOfTwo(),
            Device = result.GetValue(CommandOptions.Device),
            Seed = result.GetValue(CommandOptions.Seed) ?? defaults.Seed,
            Seconds = result.GetValue(BenchOptions.Seconds) ?? defaults.Seconds,
            Replays = result.GetValue(BenchOptions.Replays) ?? defaults.Replays,
            OutputPath = BenchSettings.Writable(result, BenchOptions.Output),
            PlotPath = BenchSettings.Writable(result, Plot),
        };
    }

    private static List<int> PowersOfTwo()
    {
        var powers = new List<int>();
        for (int tokens = 1; tokens <= MostTokens; tokens *= 2)
        {
            powers.Add(tokens);
        }

        return powers;
    }
}
