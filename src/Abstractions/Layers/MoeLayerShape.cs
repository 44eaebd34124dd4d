namespace Moe.Plugins;

/// <summary>
/// The model's own sizes and options of one mixture-of-experts layer: never padded. What a backend makes of them is a
/// <see cref="MoeLayerConfig"/>.
/// </summary>
public sealed record MoeLayerShape
{
    /// <summary>Width of the residual stream: of the layer's input, its output and the router's input.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Width between an expert's two products; the first has twice as many rows, gate and up.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Number of experts.</summary>
    public required int ExpertCount { get; init; }

    /// <summary>Experts that each token goes to.</summary>
    public required int TopK { get; init; }

    /// <summary>How the checkpoint stores the experts' weights.</summary>
    public MoeWeightFormat WeightFormat { get; init; } = MoeWeightFormat.Mxfp4;

    /// <summary>What stands between the two products.</summary>
    public MoeActivation Activation { get; init; } = MoeActivation.SwiGluOai();

    /// <summary>How logits become weights.</summary>
    public MoeRouterScoring RouterScoring { get; init; } = MoeRouterScoring.TopKThenSoftmax;

    /// <summary>Whether the router adds a bias to its logits.</summary>
    public bool HasRouterBias { get; init; } = true;

    /// <summary>Whether both of an expert's products add a bias.</summary>
    public bool HasExpertBias { get; init; } = true;

    /// <summary>gpt-oss-20b: hidden and intermediate 2880, 32 experts, top-4.</summary>
    public static MoeLayerShape GptOss20B { get; } = new() { HiddenSize = 2880, IntermediateSize = 2880, ExpertCount = 32, TopK = 4 };

    /// <summary>gpt-oss-120b: hidden and intermediate 2880, 128 experts, top-4.</summary>
    public static MoeLayerShape GptOss120B { get; } = GptOss20B with { ExpertCount = 128 };

    /// <summary>Checks that the sizes can be those of a layer.</summary>
    /// <exception cref="MoeException">A size is out of range; the message names it and says what was expected.</exception>
    public void Validate()
    {
        Require(HiddenSize >= 1, $"hidden size is {HiddenSize}; at least 1 is expected");
        Require(IntermediateSize >= 1, $"intermediate size is {IntermediateSize}; at least 1 is expected");
        Require(ExpertCount >= 1, $"the number of experts is {ExpertCount}; at least 1 is expected");
        Require(TopK >= 1 && TopK <= ExpertCount, $"top-k is {TopK}; 1 to {ExpertCount}, the number of experts, is expected");
        Require(Enum.IsDefined(WeightFormat), $"weight format {(int)WeightFormat} is none of this contract's");
        Require(Enum.IsDefined(RouterScoring), $"router scoring {(int)RouterScoring} is none of this contract's");
        if (WeightFormat == MoeWeightFormat.Mxfp4)
        {
            Require(HiddenSize % 32 == 0, $"hidden size is {HiddenSize}; MXFP4 has blocks of 32, so a multiple of 32 is expected");
            Require(
                IntermediateSize % 32 == 0,
                $"intermediate size is {IntermediateSize}; MXFP4 has blocks of 32, so a multiple of 32 is expected");
        }
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw new MoeException(MoeReason.Shape, $"This is no MoE layer: {message}.");
        }
    }
}
