namespace Moe.Plugins;

/// <summary>The function of the gate in <see cref="MoeActivationKind.Glu"/>.</summary>
public enum MoeGluFunction
{
    /// <summary>gate · sigmoid(alpha · gate).</summary>
    Silu = 0,

    /// <summary>½ · gate · (1 + tanh(√(2/π) · (gate + 0.044715 · gate³))).</summary>
    GeluTanh = 1,
}
