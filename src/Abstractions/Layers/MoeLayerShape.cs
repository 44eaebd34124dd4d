namespace Moe.Plugins;

/// <summary>
/// The model's own sizes and options of one mixture-of-experts layer: never padded. What a backend makes of them is a
/// <see cref="MoeLayerConfig"/>.
/// </summary>
public sealed record MoeLayerShape
{
    /// <summary>Values along the inputs that parts of a layer are cut by, and that share a scale in MXFP4.</summary>
    internal const int BlockSize = MoeExpertReader.Mxfp4Block;

    /// <summary>Width of the residual stream: of the layer's input, its output and the router's input.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Width between an expert's two products; the first has twice as many rows, gate and up, where the activation has a gate.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Number of experts that the router chooses from.</summary>
    public required int ExpertCount { get; init; }

    /// <summary>Experts that each token goes to.</summary>
    public required int TopK { get; init; }

    /// <summary>How the checkpoint stores the experts' weights.</summary>
    public MoeWeightFormat WeightFormat { get; init; } = MoeWeightFormat.Mxfp4;

    /// <summary>What stands between the two products.</summary>
    public MoeActivation Activation { get; init; } = MoeActivation.SwiGluOai();

    /// <summary>How logits become experts and weights.</summary>
    public MoeRouter Router { get; init; } = MoeRouter.TopKThenSoftmax with { HasLogitBias = true };

    /// <summary>Whether both of an expert's products add a bias.</summary>
    public bool HasExpertBias { get; init; } = true;

    /// <summary>Experts that every token goes to; null where there are none.</summary>
    public MoeSharedExperts? Shared { get; init; }

    /// <summary>How experts that are narrower than the residual stream are projected to and back; null where they are as wide.</summary>
    public MoeLatentExperts? Latent { get; init; }

    /// <summary>Which part of the model's layer these sizes are: made by <see cref="Slice"/>, the whole layer otherwise.</summary>
    public MoePart Part { get; private init; } = MoePart.Whole;

    /// <summary>Width of an expert's input and output: the hidden size, or the latent width.</summary>
    public int ExpertHiddenSize => Latent?.Width ?? HiddenSize;

    /// <summary>Rows of an expert's first product: gate and up, or only up.</summary>
    public int GateUpSize => checked((Activation.IsGated ? 2 : 1) * IntermediateSize);

    /// <summary>The first of the experts that this part has.</summary>
    public int FirstExpert => MoePart.Range(ExpertCount, 1, Part.ExpertRank, Part.ExpertCount).First;

    /// <summary>Number of experts that this part has; all of them in a whole layer.</summary>
    public int LocalExpertCount => MoePart.Range(ExpertCount, 1, Part.ExpertRank, Part.ExpertCount).Count;

    /// <summary>Whether the second product adds a bias here: of the ranks that share an expert only the first does.</summary>
    public bool HasDownBias => HasExpertBias && Part.TensorRank == 0;

    /// <summary>gpt-oss-20b: hidden and intermediate 2880, 32 experts, top-4.</summary>
    public static MoeLayerShape GptOss20B { get; } = new() { HiddenSize = 2880, IntermediateSize = 2880, ExpertCount = 32, TopK = 4 };

    /// <summary>gpt-oss-120b: hidden and intermediate 2880, 128 experts, top-4.</summary>
    public static MoeLayerShape GptOss120B { get; } = GptOss20B with { ExpertCount = 128 };

    /// <summary>The sizes of a part of this layer: local in experts and intermediate size, the model's in everything else.</summary>
    /// <param name="part">The part; the whole layer returns this shape.</param>
    /// <exception cref="MoeException">
    /// The layer has too few experts or blocks of 32 for so many ranks, is a part itself, or has a norm behind its experts, which is not
    /// linear and so has no parts.
    /// </exception>
    public MoeLayerShape Slice(MoePart part)
    {
        ArgumentNullException.ThrowIfNull(part);
        part.Validate();
        Validate();
        if (part.IsWhole)
        {
            return this;
        }

        Require(Part.IsWhole, "it is a part already, and parts have no parts");
        Require(Latent?.NormEpsilon is null, "the norm behind its latent experts needs the sum of all ranks, so it has no parts");
        (_, int intermediate) = MoePart.Range(IntermediateSize, BlockSize, part.TensorRank, part.TensorCount);

        // Of the last rank, so that each rank hears of it and none waits for one that cannot come.
        Require(
            MoePart.Range(IntermediateSize, BlockSize, part.TensorCount - 1, part.TensorCount).Count > 0,
            $"its intermediate size {IntermediateSize}, in blocks of {BlockSize}, leaves nothing to the last of {part.TensorCount} tensor ranks; "
            + $"of {MoePart.MostBelow(part.TensorCount, IntermediateSize, BlockSize)} each has some");
        Require(
            MoePart.Range(ExpertCount, 1, part.ExpertCount - 1, part.ExpertCount).Count > 0,
            $"its {ExpertCount} experts leave none to the last of {part.ExpertCount} expert ranks; "
            + $"of {MoePart.MostBelow(part.ExpertCount, ExpertCount, 1)} each has some");

        int shared = Shared is null ? 0 : MoePart.Range(Shared.IntermediateSize, BlockSize, part.Rank, part.RankCount).Count;
        return this with
        {
            IntermediateSize = intermediate,
            Shared = shared == 0 ? null : Shared! with { IntermediateSize = shared },
            Part = part,
        };
    }

    /// <summary>Checks that the sizes can be those of a layer.</summary>
    /// <exception cref="MoeException">A size is out of range; the message names it and says what was expected.</exception>
    /// <exception cref="ArgumentNullException">A member that a layer cannot do without is null.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Router);
        ArgumentNullException.ThrowIfNull(Activation);
        RequireSize("hidden size", HiddenSize);
        RequireSize("intermediate size", IntermediateSize);
        Require(ExpertCount >= 1, $"{nameof(ExpertCount)}, the number of experts, is {ExpertCount}; at least 1 is expected");
        Require(TopK >= 1 && TopK <= ExpertCount, $"top-k is {TopK}; 1 to {ExpertCount}, the number of experts, is expected");
        Router.Validate(ExpertCount, TopK);
        if (Latent is { } latent)
        {
            RequireSize("the latent width", latent.Width);
            RequireFormat(latent.WeightFormat, "latent width", latent.Width, "hidden size", HiddenSize);
            Require(latent.NormEpsilon is null or >= 0, $"the latent norm's {nameof(latent.NormEpsilon)} is {latent.NormEpsilon}; 0 or a positive number is expected");
        }

        RequireFormat(WeightFormat, Latent is null ? "hidden size" : "latent width", ExpertHiddenSize, "intermediate size", IntermediateSize);
        if (Shared is { } shared)
        {
            ArgumentNullException.ThrowIfNull(shared.Activation, $"{nameof(Shared)}.{nameof(shared.Activation)}");
            RequireSize("the shared experts' intermediate size", shared.IntermediateSize);
            RequireFormat(shared.WeightFormat, "hidden size", HiddenSize, "the shared experts' intermediate size", shared.IntermediateSize);
        }
    }

    // Twice as many rows, or the next multiple of a backend's alignment, can still be counted.
    private static void RequireSize(string name, int size)
    {
        const int Largest = int.MaxValue / 2;
        Require(size >= 1, $"{name} is {size}; at least 1 is expected");
        Require(size <= Largest, $"{name} is {size}; at most {Largest} is expected");
    }

    private static void RequireFormat(MoeWeightFormat format, string firstName, int first, string secondName, int second)
    {
        Require(Enum.IsDefined(format), $"weight format {(int)format} is not one of this contract's");
        int block = format switch { MoeWeightFormat.Mxfp4 => BlockSize, MoeWeightFormat.Nvfp4 => BlockSize / 2, _ => 1 };
        Require(first % block == 0, $"{firstName} is {first}; {format} has blocks of {block}, so a multiple of {block} is expected");
        Require(second % block == 0, $"{secondName} is {second}; {format} has blocks of {block}, so a multiple of {block} is expected");
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw new MoeException(MoeReason.Shape, $"The layer's shape is invalid: {message}.");
        }
    }
}
