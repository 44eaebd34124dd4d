using System.Globalization;

namespace Moe.Plugins.Cli;

/// <summary>Layer shapes as a command line states them.</summary>
internal static class LayerShapeText
{
    /// <summary>What a shape may be, in words.</summary>
    public static string Syntax { get; } =
        $"{string.Join(", ", NamedLayers.Names)} or E,H,I,K (experts, hidden size, intermediate size, top-k), each with :bf16 for BF16 weights";

    private const string BFloat16Suffix = ":bf16";

    /// <summary>Bytes that no sum of sizes gets near to overflow with.</summary>
    private const double LargestLayer = 1e15;

    /// <summary>Reads a shape.</summary>
    /// <exception cref="MoeException">The text is none.</exception>
    public static MoeLayerShape Parse(string text)
    {
        bool isBFloat16 = text.EndsWith(BFloat16Suffix, StringComparison.OrdinalIgnoreCase);
        string sizes = isBFloat16 ? text[..^BFloat16Suffix.Length] : text;
        MoeLayerShape shape = NamedLayers.Find(sizes) ?? ParseSizes(text, sizes);
        shape = shape with { WeightFormat = isBFloat16 ? MoeWeightFormat.BFloat16 : MoeWeightFormat.Mxfp4 };
        shape.Validate();
        return LayerBytes.Estimate(shape) < LargestLayer
            ? shape
            : throw new MoeException(MoeReason.Shape, $"'{PlainText.Of(text)}' has more weights than a machine can hold.");
    }

    /// <summary>What a person wants to know of a shape, on one line.</summary>
    public static string Describe(MoeLayerShape shape) => string.Create(
        CultureInfo.InvariantCulture,
        $"{shape.ExpertCount} experts, top-{shape.TopK}, hidden {shape.HiddenSize}, intermediate {shape.IntermediateSize}, {Name(shape.WeightFormat)}{Around(shape)}");

    /// <summary>A shape's sizes as a command line states them, without the weights' format.</summary>
    public static string SizesOf(MoeLayerShape shape) => NamedLayers.NameOf(shape)
        ?? string.Create(CultureInfo.InvariantCulture, $"{shape.ExpertCount},{shape.HiddenSize},{shape.IntermediateSize},{shape.TopK}");

    /// <summary>The format's usual name.</summary>
    public static string Name(MoeWeightFormat format) => format switch
    {
        MoeWeightFormat.Mxfp4 => "MXFP4",
        MoeWeightFormat.BFloat16 => "BF16",
        MoeWeightFormat.Float16 => "FP16",
        MoeWeightFormat.Float32 => "FP32",
        MoeWeightFormat.Fp8Block => "FP8",
        MoeWeightFormat.Nvfp4 => "NVFP4",
        _ => format.ToString(),
    };

    /// <summary>The format of that name, in any case, of those that random layers are made in.</summary>
    /// <exception cref="MoeException">The text is none.</exception>
    public static MoeWeightFormat FormatOf(string name)
    {
        foreach (MoeWeightFormat format in (MoeWeightFormat[])[MoeWeightFormat.Mxfp4, MoeWeightFormat.BFloat16])
        {
            if (name.Equals(Name(format), StringComparison.OrdinalIgnoreCase))
            {
                return format;
            }
        }

        throw new MoeException(MoeReason.Configuration, $"'{PlainText.Of(name)}' is not a weight format; mxfp4 or bf16 is expected.{DidYouMean.Ask(name, ["mxfp4", "bf16"])}");
    }

    private static string Around(MoeLayerShape shape) =>
        (shape.Shared is { } shared ? string.Create(CultureInfo.InvariantCulture, $", shared {shared.IntermediateSize} in {Name(shared.WeightFormat)}") : "")
        + (shape.Latent is { } latent ? string.Create(CultureInfo.InvariantCulture, $", latent {latent.Width}") : "");

    private static MoeLayerShape ParseSizes(string text, string sizes)
    {
        string[] parts = sizes.Split(',', StringSplitOptions.TrimEntries);
        int[] numbers = new int[4];
        bool isValid = parts.Length == numbers.Length;
        for (int i = 0; isValid && i < numbers.Length; i++)
        {
            isValid = int.TryParse(parts[i], NumberStyles.None, CultureInfo.InvariantCulture, out numbers[i]);
        }

        return isValid
            ? new MoeLayerShape { ExpertCount = numbers[0], HiddenSize = numbers[1], IntermediateSize = numbers[2], TopK = numbers[3] }
            : throw new MoeException(MoeReason.Configuration, $"'{PlainText.Of(text)}' is not a shape; {Syntax} is expected.{DidYouMean.Ask(sizes, NamedLayers.Names)}");
    }
}
