namespace Moe.Plugins;

/// <summary>How the router's logits become the weights of the chosen experts. Of equal logits the lowest expert id wins.</summary>
public enum MoeRouterScoring
{
    /// <summary>Choose the top-k logits, then softmax over those alone (GPT-OSS).</summary>
    TopKThenSoftmax = 0,

    /// <summary>Softmax over all experts, then choose; the weights sum to less than 1.</summary>
    SoftmaxThenTopK = 1,

    /// <summary>
    /// Softmax over all experts, then choose, then divide by the chosen weights' sum. In exact arithmetic the same as
    /// <see cref="TopKThenSoftmax"/>; kept apart because a model's author may mean the rounding of one of them.
    /// </summary>
    SoftmaxThenTopKRenormalized = 2,
}
