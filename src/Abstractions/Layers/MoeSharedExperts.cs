namespace Moe.Plugins;

/// <summary>
/// Experts that every token goes to, as one feed-forward network: its output is added to the sum of the chosen experts, multiplied by
/// sigmoid(x · gate) where it has a gate.
/// </summary>
public sealed record MoeSharedExperts
{
    /// <summary>Width between its two products: the number of shared experts times the width of one.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Outputs of its first product: gate and up of each neuron, or only up.</summary>
    public int GateUpSize => checked((Activation.IsGated ? 2 : 1) * IntermediateSize);

    /// <summary>How the checkpoint stores its weights; often not as those of the other experts.</summary>
    public required MoeWeightFormat WeightFormat { get; init; }

    /// <summary>What stands between its two products.</summary>
    public required MoeActivation Activation { get; init; }

    /// <summary>Whether its output is multiplied by sigmoid(x · gate) (Qwen2, Qwen3-Next and later).</summary>
    public bool HasGate { get; init; }
}
