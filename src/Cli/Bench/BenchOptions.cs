using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Moe.Plugins.Cli;

/// <summary>The options that only `moe bench` has.</summary>
internal static class BenchOptions
{
    private const double MostSeconds = 24 * 60 * 60;

    public static Option<string[]> Backends { get; } = BackendsOr("all that run on the device");

    public static Option<MoeLayerShape[]> Shapes { get; } = ShapesOr("gpt-oss-20b");

    public static Option<MoeWeightFormat?> Weights { get; } = new("--weights")
    {
        Description = "Weight format, and so that of the floor: mxfp4 or bf16. Default: the one that each backend is made for.",
        HelpName = "FORMAT",
        CustomParser = ParseWeights,
    };

    public static Option<int[]> Tokens { get; } = TokensOr("1 to 128 in powers of two");

    public static Option<string?> Routing { get; } = CommandOptions.Text(
        "--routing",
        "uniform|skewed|FILE",
        "uniform (every expert is as likely), skewed (a router bias of −ln n for the n-th expert) or a safetensors file with a tensor "
        + "topk_ids, as 'moe run --output' writes it: random tokens are then shifted so that the router chooses those experts. Default: uniform.");

    public static Option<double?> Seconds { get; } = new("--seconds")
    {
        Description = "Time for the replays of one row. Default: 1.",
        HelpName = "S",
        CustomParser = ParseSeconds,
    };

    public static Option<int?> Replays { get; } = CommandOptions.WholeNumber("--replays", 3, "The most replays of one row. Default: 100.");

    public static Option<int?> Rest { get; } = CommandOptions.WholeNumber(
        "--rest",
        0,
        "Milliseconds to wait before each replay, so that a power cap holds nothing back: figures of a device with little else to do. Default: 0, a device under load.");

    public static Option<string?> Output { get; } = CommandOptions.Text("--output", "FILE.json", "Write the results to this file, again after each row.");

    public static Option<string?> Plot { get; } = CommandOptions.Text("--plot", "FILE.png", "Draw the results: microseconds over tokens, with the floor.");

    public static Option<string?> Peers { get; } = CommandOptions.Text(
        "--peers", "FILE", "Figures of other libraries to draw beside them, such as bench/peers/h100-2026-11-23.json.");

    /// <summary>The backends to measure.</summary>
    /// <param name="defaults">Which these are if none is named, in words.</param>
    public static Option<string[]> BackendsOr(string defaults) => new("--backend")
    {
        Description = $"Id of a backend; may be given several times. Default: {defaults}.",
        HelpName = "NAME",
    };

    /// <summary>The backends that were named, or else the one that a command takes by itself, and what names them.</summary>
    public static (string[] Ids, string NamedBy) BackendsOf(ParseResult result, Option<string[]> option, string own) =>
        result.GetValue(option) is { Length: > 0 } named ? (named, option.Name) : ([own], $"the default of {option.Name}");

    /// <summary>The layers to measure.</summary>
    /// <param name="defaults">Which these are if none is named, in words.</param>
    public static Option<MoeLayerShape[]> ShapesOr(string defaults) => new("--shape")
    {
        Description = $"Layer of random weights; may be given several times: {LayerShapeText.Syntax}. Default: {defaults}.",
        HelpName = "SHAPE",
        CustomParser = result => [.. result.Tokens.Select(token => ParseShape(result, token.Value)).OfType<MoeLayerShape>()],
    };

    /// <summary>The sizes of batches to measure.</summary>
    /// <param name="defaults">Which these are if none is named, in words.</param>
    public static Option<int[]> TokensOr(string defaults) => Counts("--tokens", $"Tokens of a forward: 1,2,4 and so on. Default: {defaults}.");

    /// <summary>An option that is a list of whole numbers of at least 1; empty where it is not given.</summary>
    public static Option<int[]> Counts(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "LIST",
        CustomParser = result => [.. result.Tokens.SelectMany(token => token.Value.Split(',')).Select(text => ParseCount(result, name, text))],
    };

    private static MoeLayerShape? ParseShape(ArgumentResult result, string text)
    {
        try
        {
            return LayerShapeText.Parse(text);
        }
        catch (MoeException exception)
        {
            result.AddError($"--shape: {exception.Message}");
            return null;
        }
    }

    private static MoeWeightFormat? ParseWeights(ArgumentResult result)
    {
        try
        {
            return LayerShapeText.FormatOf(result.Tokens[0].Value);
        }
        catch (MoeException exception)
        {
            result.AddError($"--weights: {exception.Message}");
            return null;
        }
    }

    private static int ParseCount(ArgumentResult result, string name, string text)
    {
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int count) && count >= 1)
        {
            return count;
        }

        result.AddError($"{name} has '{PlainText.Of(text)}'; whole numbers of at least 1 are expected, as in 1,2,4.");
        return 1;
    }

    private static double? ParseSeconds(ArgumentResult result)
    {
        string text = result.Tokens[0].Value;
        if (double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double seconds) && seconds is > 0 and <= MostSeconds)
        {
            return seconds;
        }

        result.AddError($"--seconds is '{PlainText.Of(text)}'; a number above 0 and up to {MostSeconds} is expected.");
        return null;
    }
}
