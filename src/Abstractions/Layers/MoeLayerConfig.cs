namespace Moe.Plugins;

/// <summary>
/// The sizes that a layer really has on a backend. It can only be made from a shape through a quantisation method, so it cannot be
/// out of step with the weights; whatever sizes a buffer reads it from here, and there is no second rounding rule anywhere: what travels
/// between ranks is as wide as the model.
/// </summary>
public sealed class MoeLayerConfig
{
    /// <summary>What a method may round sizes to, hundreds of times what any does. The host pads rows to what it says, so there has to be a bound.</summary>
    private const int LargestAlignment = 65536;

    private MoeLayerConfig(MoeLayerShape shape, MoeLayerOptions options, int hiddenSize, int expertHiddenSize, int intermediateSize, IMoeQuantMethod method)
    {
        Shape = shape;
        Options = options;
        HiddenSize = hiddenSize;
        ExpertHiddenSize = expertHiddenSize;
        IntermediateSize = intermediateSize;
        InputWidth = method.SupportsSkipForwardPadding && !options.ForcePadding ? shape.HiddenSize : hiddenSize;
        OutputWidth = method.HasUnpaddedOutput && !options.ForcePadding ? shape.HiddenSize : hiddenSize;
        MaxTokens = checked(options.MaxTokens * DispatchingRanks(shape, options));
    }

    /// <summary>The model's own sizes.</summary>
    public MoeLayerShape Shape { get; }

    /// <summary>What the host decided.</summary>
    public MoeLayerOptions Options { get; }

    /// <summary>Padded hidden size of the weights.</summary>
    public int HiddenSize { get; }

    /// <summary>Padded width of the experts' input and output: <see cref="HiddenSize"/>, or the padded latent width.</summary>
    public int ExpertHiddenSize { get; }

    /// <summary>Padded intermediate size.</summary>
    public int IntermediateSize { get; }

    /// <summary>Width of the input that the method is handed: the model's where it skips forward padding, else <see cref="HiddenSize"/>.</summary>
    public int InputWidth { get; }

    /// <summary>Width of the output that the method writes: the model's where it writes unpadded, else <see cref="HiddenSize"/>.</summary>
    public int OutputWidth { get; }

    /// <summary>Whether the host has to pad the input. False where nothing is padded, whatever the method can.</summary>
    public bool HostPadsInput => InputWidth != Shape.HiddenSize;

    /// <summary>Whether the host has to slice the output. False where nothing is padded, whatever the method can.</summary>
    public bool HostSlicesOutput => OutputWidth != Shape.HiddenSize;

    /// <summary>
    /// The most tokens that the method is handed at once: <see cref="MoeLayerOptions.MaxTokens"/>, of all ranks together where
    /// <see cref="MoeLayerOptions.DispatchTokens"/> brings them here.
    /// </summary>
    public int MaxTokens { get; }

    /// <summary>Asks the method for its sizes and makes the one config that everything is sized by.</summary>
    /// <param name="shape">The model's sizes.</param>
    /// <param name="method">The backend's method for this layer.</param>
    /// <param name="options">The host's decisions; null for the defaults.</param>
    /// <exception cref="MoeException">The shape or an option is out of range, or a rounding rule is not one (it rounds down, or is not
    /// idempotent).</exception>
    public static MoeLayerConfig Create(MoeLayerShape shape, IMoeQuantMethod method, MoeLayerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(method);
        options ??= new MoeLayerOptions();
        shape.Validate();
        ValidateOptions(shape, options);

        int hidden = Round(method.RoundUpHiddenSize, shape.HiddenSize, Rule(method, nameof(IMoeQuantMethod.RoundUpHiddenSize)));
        int intermediate = Round(
            method.RoundUpIntermediateSize,
            shape.IntermediateSize,
            Rule(method, nameof(IMoeQuantMethod.RoundUpIntermediateSize)));

        int expertHidden = shape.Latent is null
            ? hidden
            : Round(method.RoundUpHiddenSize, shape.ExpertHiddenSize, Rule(method, nameof(IMoeQuantMethod.RoundUpHiddenSize)));
        return new MoeLayerConfig(shape, options, hidden, expertHidden, intermediate, method);
    }

    private static int DispatchingRanks(MoeLayerShape shape, MoeLayerOptions options) => options.DispatchTokens ? shape.Part.RankCount : 1;

    private static string Rule(IMoeQuantMethod method, string member) => $"{method.GetType().Name}.{member}";

    private static int Round(Func<int, int> rule, int size, string name)
    {
        int rounded = rule(size);
        if (rounded < size)
        {
            throw new MoeException(MoeReason.ContractBroken, $"{name}({size}) returned {rounded}; at least {size} is expected.");
        }

        if (rounded - size >= LargestAlignment)
        {
            throw new MoeException(
                MoeReason.ContractBroken, $"{name}({size}) returned {rounded}; less than {LargestAlignment} more is expected, for the host pads rows to it.");
        }

        int again = rule(rounded);
        return again == rounded
            ? rounded
            : throw new MoeException(
                MoeReason.ContractBroken,
                $"{name} is not idempotent: it rounds {size} to {rounded}, and {rounded} to {again}.");
    }

    private static void ValidateOptions(MoeLayerShape shape, MoeLayerOptions options)
    {
        ArgumentNullException.ThrowIfNull(options.Part);
        int most = int.MaxValue / DispatchingRanks(shape, options);
        if (options.MaxTokens < 1 || options.MaxTokens > most)
        {
            throw new MoeException(MoeReason.Configuration, $"MaxTokens is {options.MaxTokens}; 1 to {most} is expected.");
        }

        RequireActivationType(options.InputType, nameof(MoeLayerOptions.InputType));
        RequireActivationType(options.OutputType, nameof(MoeLayerOptions.OutputType));
    }

    private static void RequireActivationType(MoeElementType type, string name)
    {
        if (type is not (MoeElementType.BFloat16 or MoeElementType.Float32))
        {
            throw new MoeException(MoeReason.Configuration, $"{name} is {type}; BFloat16 or Float32 is expected.");
        }
    }
}
