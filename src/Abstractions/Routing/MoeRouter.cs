namespace Moe.Plugins;

/// <summary>
/// How a router's logits ℓ = W·x (+ logit bias) become experts and weights. In this order: a score s of each logit; c = s + selection
/// bias; the groups with the best c are kept; the top-k of c are chosen, or a table names them; each gets a weight, which may be
/// divided by their sum and is multiplied by the scale. Of equal c the lowest expert id wins, and NaN comes after every number.
/// </summary>
/// <remarks>
/// The presets are those that need no constants; what a model family uses stands with its reader. Without selection bias and groups the
/// choice is by logits, since each score rises with its logit. Nothing is computed in less than <see cref="LogitPrecision"/>.
/// </remarks>
public sealed record MoeRouter
{
    /// <summary>Choose the top-k logits, then softmax over only those (GPT-OSS, Granite).</summary>
    public static MoeRouter TopKThenSoftmax { get; } = new() { Score = MoeRouterScore.Logit, Weights = MoeRouterWeights.SoftmaxOfChosen };

    /// <summary>Softmax over all experts, then choose; the weights sum to less than 1 (OLMoE, Qwen2).</summary>
    public static MoeRouter SoftmaxThenTopK { get; } = new();

    /// <summary>Softmax over all experts, then choose, then divide by the sum of the chosen (Qwen3, Mixtral).</summary>
    public static MoeRouter SoftmaxThenTopKRenormalized { get; } = new() { Renormalize = true };

    /// <summary>What a logit becomes before experts are chosen.</summary>
    public MoeRouterScore Score { get; init; } = MoeRouterScore.Softmax;

    /// <summary>What the weights of the chosen are made of.</summary>
    public MoeRouterWeights Weights { get; init; } = MoeRouterWeights.ScoreOfChosen;

    /// <summary>Whether the weights are divided by their sum.</summary>
    public bool Renormalize { get; init; }

    /// <summary>Added to the sum before dividing, or its least value; 0 for neither.</summary>
    public float Epsilon { get; init; }

    /// <summary>Whether the divisor is max(sum, <see cref="Epsilon"/>) instead of sum + <see cref="Epsilon"/>.</summary>
    public bool EpsilonIsFloor { get; init; }

    /// <summary>Multiplies each weight, after dividing.</summary>
    public float Scale { get; init; } = 1;

    /// <summary>Groups of neighbouring experts, all of one size; 1 for none.</summary>
    public int GroupCount { get; init; } = 1;

    /// <summary>Groups that are kept; only their experts can be chosen.</summary>
    public int TopGroups { get; init; } = 1;

    /// <summary>What a group is worth.</summary>
    public MoeGroupRule GroupRule { get; init; } = MoeGroupRule.SumOfTopTwo;

    /// <summary>Who says which experts a token goes to.</summary>
    public MoeRouterChoice Choice { get; init; } = MoeRouterChoice.TopK;

    /// <summary>Whether an expert's output is multiplied by its weight, or its input.</summary>
    public MoeWeightOn WeightOn { get; init; } = MoeWeightOn.Output;

    /// <summary>Whether the logits get a bias, which counts for choice and weights.</summary>
    public bool HasLogitBias { get; init; }

    /// <summary>Whether the scores get a bias in float32, which counts for the choice and not for the weights.</summary>
    public bool HasSelectionBias { get; init; }

    /// <summary>The least precision of a logit, BF16 or float32: products of it are summed at least in float32, and never rounded below it.</summary>
    public MoeElementType LogitPrecision { get; init; } = MoeElementType.Float32;

    /// <summary>The least number that a weight's denominator has, given the sum of the chosen weights.</summary>
    /// <param name="sum">The sum of the chosen weights.</param>
    /// <returns>What they are divided by; 1 where nothing is renormalised.</returns>
    public double Divisor(double sum) => !Renormalize ? 1 : EpsilonIsFloor ? Math.Max(sum, Epsilon) : sum + Epsilon;

    /// <summary>Checks that the program can be that of a layer.</summary>
    /// <exception cref="MoeException">A constant or a combination is out of range; the message names it.</exception>
    public void Validate(int expertCount, int topK)
    {
        Require(Enum.IsDefined(Score), $"router score {(int)Score} is not one of this contract's");
        Require(Enum.IsDefined(Weights), $"router weights {(int)Weights} are not one of this contract's");
        Require(Enum.IsDefined(GroupRule), $"group rule {(int)GroupRule} is not one of this contract's");
        Require(Enum.IsDefined(Choice), $"router choice {(int)Choice} is not one of this contract's");
        Require(Enum.IsDefined(WeightOn), $"the place of the weights, {nameof(WeightOn)} {(int)WeightOn}, is not one of this contract's");
        Require(
            LogitPrecision is MoeElementType.BFloat16 or MoeElementType.Float32,
            $"{nameof(LogitPrecision)} is {LogitPrecision}; BFloat16 or Float32 is expected");
        Require(float.IsFinite(Scale) && Scale > 0, $"the router's scale is {Scale}; a positive number is expected");
        Require(float.IsFinite(Epsilon) && Epsilon >= 0, $"the router's epsilon is {Epsilon}; 0 or a positive number is expected");
        Require(
            GroupCount >= 1 && expertCount % GroupCount == 0,
            $"{nameof(GroupCount)} is {GroupCount}, and there are {expertCount} experts; a number that divides them is expected");
        Require(TopGroups >= 1 && TopGroups <= GroupCount, $"{nameof(TopGroups)} is {TopGroups}; 1 to {GroupCount}, the number of groups, is expected");
        Require(
            Choice == MoeRouterChoice.TokenTable || topK <= expertCount / GroupCount * TopGroups,
            $"top-k is {topK}, and the {TopGroups} groups that are kept have {expertCount / GroupCount * TopGroups} experts");
        Require(
            GroupCount == 1 || GroupRule != MoeGroupRule.SumOfTopTwo || expertCount / GroupCount >= 2,
            "groups of one expert have no two best");
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw new MoeException(MoeReason.Shape, $"The router is invalid: {message}.");
        }
    }
}
