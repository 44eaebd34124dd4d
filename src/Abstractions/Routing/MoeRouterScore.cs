namespace Moe.Plugins;

/// <summary>What a logit ℓ becomes before experts are chosen.</summary>
public enum MoeRouterScore
{
    /// <summary>ℓ itself.</summary>
    Logit = 0,

    /// <summary>exp(ℓ) ÷ Σ exp(ℓ) over all experts.</summary>
    Softmax = 1,

    /// <summary>1 ÷ (1 + exp(−ℓ)).</summary>
    Sigmoid = 2,

    /// <summary>√ln(1 + exp(ℓ)) (DeepSeek-V4).</summary>
    SqrtSoftplus = 3,
}
