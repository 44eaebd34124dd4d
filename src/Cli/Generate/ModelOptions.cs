using System.CommandLine;
using System.Globalization;
using Moe.Plugins.GptOss;

namespace Moe.Plugins.Cli;

/// <summary>The options of the commands that run a whole model, one place for each.</summary>
internal static class ModelOptions
{
    public static Option<string?> Model { get; } = CommandOptions.Text(
        "--model", "FOLDER", "Folder of a GPT-OSS checkpoint. Default: the sample that comes with the program, which babbles.");

    public static Option<int?> MaxTokens { get; } = CommandOptions.WholeNumber("--max-tokens", 1, "The most tokens to write. Default: until it stops, or the context is full.");

    public static Option<int?> Context { get; } = CommandOptions.WholeNumber("--context", 1, "The most tokens of prompt and answer together. Default: 8192, or what the model was made for.");

    public static Option<int?> Threads { get; } = CommandOptions.WholeNumber("--threads", 1, "Threads for all but the expert layers. Default: one a processor.");

    public static Option<double?> Temperature { get; } = Number(
        "--temperature", "Logits are divided by it; 0 takes the likeliest token each time. Default: 1, with --prompt-ids 0.", "0 or more", value => value >= 0);

    public static Option<double?> TopP { get; } = Number(
        "--top-p", "Draw from the likeliest tokens whose probabilities reach this sum. Default: 1.", "more than 0 and at most 1", value => value is > 0 and <= 1);

    public static Option<double?> MinP { get; } = Number(
        "--min-p", "Draw from tokens at least this likely against the likeliest. Default: 0.", "0 or more and less than 1", value => value is >= 0 and < 1);

    public static Option<int?> Seed { get; } = CommandOptions.WholeNumber("--seed", 0, "The same seed draws the same tokens. Default: another one each time.");

    public static Option<string?> System { get; } = new("--system") { Description = "What the model is told about its task.", HelpName = "TEXT" };

    public static Option<string?> Effort { get; } = Choice("--effort", "How long it thinks", "low", "medium", "high");

    public static Option<string?> Activations { get; } = Choice("--activations", "What expert layers take and give", "f32", "bf16");

    public static Option<string?> Cache { get; } = Choice("--cache", "What keys and values are kept in", "f32", "bf16");

    /// <summary>Those of every command that loads a model.</summary>
    public static IEnumerable<Option> Loading =>
        [Model, Context, Threads, Activations, Cache, CommandOptions.Backend, CommandOptions.Device, CommandOptions.Devices, CommandOptions.TensorParallel, CommandOptions.Plugins];

    /// <summary>Those of every command that lets it speak.</summary>
    public static IEnumerable<Option> Speaking => [MaxTokens, Temperature, TopP, MinP, Seed, System, Effort];

    /// <summary>The element type that an option names; null where it names none.</summary>
    public static MoeElementType? TypeOf(string? name) => name switch
    {
        null => null,
        "bf16" => MoeElementType.BFloat16,
        _ => MoeElementType.Float32,
    };

    private static Option<string?> Choice(string name, string description, params string[] values)
    {
        var option = new Option<string?>(name) { Description = $"{description}: {string.Join(", ", values)}.", HelpName = "NAME" };
        option.Validators.Add(result =>
        {
            if (result.Tokens.Select(token => token.Value).FirstOrDefault(word => !values.Contains(word)) is string unknown)
            {
                result.AddError(CommandOptions.NoneOf(name, unknown, values));
            }
        });
        return option;
    }

    private static Option<double?> Number(string name, string description, string expected, Func<double, bool> isValid) => new(name)
    {
        Description = description,
        HelpName = "X",
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            if (!double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) || !double.IsFinite(value))
            {
                result.AddError($"{name} is '{PlainText.Of(text)}'; a number is expected.");
                return null;
            }

            if (!isValid(value))
            {
                result.AddError($"{name} is {PlainText.Of(text)}; {expected} is expected.");
                return null;
            }

            return value;
        },
    };
}
