using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Moe.Plugins.Cli;

/// <summary>The options, one place for each; commands pick what they need.</summary>
internal static class CommandOptions
{
    private const int DefaultWatchSeconds = 2;
    private const int MostWatchSeconds = 24 * 60 * 60;
    private const string NameOrPath = "a name or a path";

    public static Option<string?> Model { get; } = Text("--model", "FILE|FOLDER", "Safetensors file, or a folder as Hugging Face lays it out.");

    public static Option<MoeLayerShape?> Shape { get; } = new("--shape")
    {
        Description = $"A layer of this size, with random weights: {LayerShapeText.Syntax}.",
        HelpName = "SHAPE",
        CustomParser = ParseShape,
    };

    public static Option<int?> Layer { get; } = WholeNumber("--layer", 0, "Number of the layer, as the model counts its layers. Default: the first that has experts.");

    public static Option<string?> Input { get; } = new("--input")
    {
        Description = "Safetensors file with the tensor 'input', and perhaps 'expected.output' and 'token_ids', for a checkpoint that has none.",
        HelpName = "FILE",
    };

    public static Option<string?> Backend { get; } = Text(
        "--backend", "NAME", "Id of a backend, or auto. If a named backend cannot run the layer, the command fails. Default: auto.");

    public static Option<MoeDevice?> Device { get; } = new("--device")
    {
        Description = "GPU number, cuda:N or cpu. Default: the backend chooses.",
        HelpName = "N",
        CustomParser = result => ParseDevice(result, "--device", result.Tokens[0].Value),
    };

    public static Option<MoeDevice[]> Devices { get; } = new("--devices")
    {
        Description = "A device for each rank: 0,1 or cuda:0,cuda:0 or cpu,cpu. Default: GPUs from --device on, one a rank; or the processor for all, where that is the device.",
        HelpName = "LIST",
        CustomParser = result => [.. result.Tokens.SelectMany(token => token.Value.Split(',')).Select(text => ParseDevice(result, "--devices", text)).OfType<MoeDevice>()],
    };

    public static Option<int?> Tokens { get; } = WholeNumber(
        "--tokens",
        1,
        $"Tokens to run: the first ones of the checkpoint's tensor input, else random ones. Default: all of that tensor, or {RunInput.DefaultTokens}.");

    public static Option<int?> TensorParallel { get; } = WholeNumber(
        "--tensor-parallel", 1, "Ranks that share each expert, by blocks of 32 of its intermediate size. Default: 1.");

    public static Option<int?> ExpertParallel { get; } = WholeNumber(
        "--expert-parallel", 1, "Ranks that share the experts; with --tensor-parallel the product of both. Default: 1.");

    public static Option<int?> Seed { get; } = WholeNumber("--seed", 0, "Seed of random weights and tokens. Default: 1.");

    public static Option<string[]> Plugins { get; } = new("--plugins")
    {
        Description = "Folder that holds plugins, each in a folder of its own; may be given several times. Default: plugins beside the program.",
        HelpName = "FOLDER",
    };

    public static Option<MoeElementType?> OutputType { get; } = new("--output-type")
    {
        Description = "bf16 or f32. Default: bf16.",
        HelpName = "TYPE",
        CustomParser = ParseElementType,
    };

    public static Option<bool> Verify { get; } = new("--verify")
    {
        Description = "Compare with a float64 computation that shares no code with any backend, and with the file's tensor expected.output if it has one.",
    };

    public static Option<string?> Output { get; } = Text("--output", "FILE", "Write the tensors output, topk_ids and topk_weights to this file.");

    /// <summary>Every command has it.</summary>
    public static Option<bool> Json { get; } = new("--json") { Description = "Print one JSON object instead of text, also on failure.", Recursive = true };

    public static Option<bool> Explain { get; } = new("--explain")
    {
        Description = "Show each step of loading every plugin, and why auto picks what it picks.",
    };

    /// <summary>Seconds between two looks; null where the command does not watch.</summary>
    public static Option<int?> Watch { get; } = new("--watch")
    {
        Description = $"Keep looking, every N seconds (default {DefaultWatchSeconds}), whether a plugin's folder changed, and reload the plugin.",
        HelpName = "N",
        Arity = ArgumentArity.ZeroOrOne,
        CustomParser = result => result.Tokens.Count == 0 ? DefaultWatchSeconds : ParseWhole(result, "--watch", 1, MostWatchSeconds),
    };

    /// <summary>An option that is a whole number, no smaller than <paramref name="least"/>.</summary>
    public static Option<int?> WholeNumber(string name, int least, string description) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = result => ParseWhole(result, name, least, int.MaxValue),
    };

    /// <summary>An option that is a text, a name or a path unless something else is <paramref name="expected"/>.</summary>
    public static Option<string?> Text(string name, string helpName, string description, string expected = NameOrPath)
    {
        var option = new Option<string?>(name) { Description = description, HelpName = helpName };
        option.Validators.Add(result => RequireText(result, name, expected));
        return option;
    }

    /// <summary>An argument that is a name or a path.</summary>
    public static Argument<string> RequiredText(string name, string description)
    {
        var argument = new Argument<string>(name) { Description = description };
        argument.Validators.Add(result => RequireText(result, name, NameOrPath));
        return argument;
    }

    /// <summary>The error of a word that is none of those that are expected.</summary>
    public static string NoneOf(string name, string word, params IReadOnlyCollection<string> expected) =>
        $"{name} is '{PlainText.Of(word)}'; {Listed([.. expected], "or")} is expected.{DidYouMean.Ask(word, expected)}";

    /// <summary>Words as a sentence lists them.</summary>
    /// <param name="words">The words.</param>
    /// <param name="last">What stands before the last.</param>
    public static string Listed(string[] words, string last) =>
        words.Length < 2 ? string.Concat(words) : $"{string.Join(", ", words[..^1])} {last} {words[^1]}";

    private static void RequireText(SymbolResult result, string name, string expected)
    {
        if (result.Tokens.Any(token => string.IsNullOrWhiteSpace(token.Value) || token.Value.Contains('\0')))
        {
            result.AddError($"{name} is empty; {expected} is expected.");
        }
    }

    private static int? ParseWhole(ArgumentResult result, string name, int least, int most)
    {
        string text = result.Tokens[0].Value;
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= least && value <= most)
        {
            return value;
        }

        string range = most == int.MaxValue ? $"of at least {least}" : $"from {least} to {most}";
        result.AddError($"{name} is '{PlainText.Of(text)}'; a whole number {range} is expected.");
        return null;
    }

    private static MoeLayerShape? ParseShape(ArgumentResult result)
    {
        try
        {
            return LayerShapeText.Parse(result.Tokens[0].Value);
        }
        catch (MoeException exception)
        {
            result.AddError($"--shape: {exception.Message}");
            return null;
        }
    }

    private static MoeDevice? ParseDevice(ArgumentResult result, string name, string text)
    {
        if (MoeDevice.TryParse(text, out MoeDevice device))
        {
            return device;
        }

        result.AddError($"{name} is '{PlainText.Of(text)}'; a GPU's number, cuda:N or cpu is expected.");
        return null;
    }

    private static MoeElementType? ParseElementType(ArgumentResult result)
    {
        string text = result.Tokens[0].Value;
        switch (text.ToUpperInvariant())
        {
            case "BF16":
                return MoeElementType.BFloat16;
            case "F32":
                return MoeElementType.Float32;
            default:
                result.AddError(NoneOf("--output-type", text, "bf16", "f32"));
                return null;
        }
    }
}
