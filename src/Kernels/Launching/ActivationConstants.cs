using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary>
/// SiLU and GPT-OSS's activation as one formula, <c>Activation</c> of <c>activation.cuh</c>:
/// (clamp(up, ±limit) + up bias) · gate · sigmoid(alpha · gate) with gate = min(gate, limit).
/// </summary>
/// <param name="Alpha">Factor inside of the sigmoid.</param>
/// <param name="Limit">Where gate and up are clamped.</param>
/// <param name="UpBias">Added to up: 1 for GPT-OSS, 0 for SiLU-gated layers.</param>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct ActivationConstants(float Alpha, float Limit, float UpBias)
{
    /// <summary>Why the kernels have no such activation; null where they have.</summary>
    public static string? Refuse(MoeActivation activation)
    {
        ArgumentNullException.ThrowIfNull(activation);
        return activation is { Kind: MoeActivationKind.Glu, Function: MoeGluFunction.Silu, ClampsAfter: false }
            ? null
            : $"its kernels have no activation {activation.Kind} with {activation.Function}{(activation.ClampsAfter ? ", clamped after it" : "")}";
    }

    /// <summary>The constants of an activation.</summary>
    public static ActivationConstants Of(MoeActivation activation)
    {
        ArgumentNullException.ThrowIfNull(activation);
        return new(activation.Alpha, activation.Limit, activation.Beta);
    }
}
