namespace Moe.Plugins;

/// <summary>What stands between an expert's two matrix products.</summary>
public enum MoeActivationKind
{
    /// <summary>
    /// f(gate) · (up + beta), where f is gate · sigmoid(alpha · gate) or GELU; gate is bounded above by the limit and up on both sides,
    /// gate before f or after it.
    /// </summary>
    Glu = 0,

    /// <summary>relu(up)², without a gate: the first product has one row per neuron (Nemotron).</summary>
    ReluSquared = 1,

    /// <summary>β₁·tanh(gate / β₁)·sigmoid(gate) · β₂·tanh(up / β₂) (Kimi-K3).</summary>
    SiTu = 2,
}
