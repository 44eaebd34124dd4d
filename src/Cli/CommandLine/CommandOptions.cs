using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Moe.Plugins.Cli;

/// <summary>The options, one place for each; commands pick what they need.</summary>
internal static class CommandOptions
{
    private const int DefaultWatchSeconds = 2;

    public static Option<string?> Model { get; } = new("--model")
    {
        Description = "Safetensors file, or a folder as Hugging Face lays it out.",
        HelpName = "FILE|FOLDER",
    };

    public static Option<MoeLayerShape?> Shape { get; } = new("--shape")
    {
        Description = $"Random weights of this size: {LayerShapeText.Syntax}.",
        HelpName = "SHAPE",
        CustomParser = ParseShape,
    };

    public static Option<int?> Layer { get; } = WholeNumber("--layer", 0, "Number of the layer, as the model counts its layers. Default: the first that has experts.");

    public static Option<string?> Input { get; } = new("--input")
    {
        Description = "Safetensors file with the tensor 'input', and perhaps 'expected.output' and 'token_ids', for a checkpoint that has none.",
        HelpName = "FILE",
    };

    public static Option<string?> Backend { get; } = new("--backend")
    {
        Description = "Id of a backend, which then runs or is an error, or auto. Default: auto.",
        HelpName = "NAME",
    };

    public static Option<MoeDevice?> Device { get; } = new("--device")
    {
        Description = "GPU number, cuda:N or cpu. Default: the backend chooses.",
        HelpName = "N",
        CustomParser = ParseDevice,
    };

    public static Option<int?> Tokens { get; } = WholeNumber(
        "--tokens",
        1,
        $"Tokens to run: the first of the checkpoint's tensor 'input' if it has one, else random. Default: all of them, or {RunInput.DefaultTokens}.");

    public static Option<int?> Seed { get; } = WholeNumber("--seed", 0, "Seed of random weights and tokens. Default: 1.");

    public static Option<string[]> Plugins { get; } = new("--plugins")
    {
        Description = "Folder of plugins, each in a folder of its own; may be given several times. Default: 'plugins' beside the program.",
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
        Description = "Compare with a float64 computation written apart from every backend, and with the file's 'expected.output' if it has one.",
    };

    public static Option<string?> Output { get; } = new("--output")
    {
        Description = "Write the tensors output, topk_ids and topk_weights to this file.",
        HelpName = "FILE",
    };

    public static Option<bool> Json { get; } = new("--json") { Description = "Print one JSON object instead of text." };

    public static Option<bool> Explain { get; } = new("--explain")
    {
        Description = "Show what became of every plugin, step by step, and why auto picks what it picks.",
    };

    /// <summary>Seconds between two looks; null where the command does not watch.</summary>
    public static Option<int?> Watch { get; } = new("--watch")
    {
        Description = $"Go on: look every N seconds ({DefaultWatchSeconds} if left out) whether the content of a plugin's folder changed, and reload it.",
        HelpName = "N",
        Arity = ArgumentArity.ZeroOrOne,
        CustomParser = result => ParseWhole(result, "--watch", 1, result.Tokens.Count == 0 ? DefaultWatchSeconds : null),
    };

    /// <summary>An option that is a whole number, no smaller than <paramref name="least"/>.</summary>
    public static Option<int?> WholeNumber(string name, int least, string description) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = result => ParseWhole(result, name, least, absent: null),
    };

    private static int? ParseWhole(ArgumentResult result, string name, int least, int? absent)
    {
        if (absent is not null)
        {
            return absent;
        }

        string text = result.Tokens[0].Value;
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= least)
        {
            return value;
        }

        result.AddError($"{name} is '{text}'; a whole number from {least} on is expected.");
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

    private static MoeDevice? ParseDevice(ArgumentResult result)
    {
        string text = result.Tokens[0].Value;
        if (MoeDevice.TryParse(text, out MoeDevice device))
        {
            return device;
        }

        result.AddError($"--device is '{text}'; a GPU's number, cuda:N or cpu is expected.");
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
                result.AddError($"--output-type is '{text}'; bf16 or f32 is expected.");
                return null;
        }
    }
}
