namespace Moe.Plugins;

/// <summary>What stands between an expert's two matrix products.</summary>
public enum MoeActivationKind
{
    /// <summary>GPT-OSS: (up + 1) · gate · sigmoid(alpha · gate), after gate = min(gate, limit) and up = clamp(up, ±limit).</summary>
    SwiGluOai = 0,

    /// <summary>The common gated SiLU: up · gate · sigmoid(gate), nothing clamped.</summary>
    SiluGated = 1,
}
