namespace Moe.Plugins;

/// <summary>What the weights of the chosen experts are made of, before they are renormalised and scaled.</summary>
public enum MoeRouterWeights
{
    /// <summary>Each expert's own score, without the selection bias.</summary>
    ScoreOfChosen = 0,

    /// <summary>Softmax of the chosen experts' logits, over only those.</summary>
    SoftmaxOfChosen = 1,
}
