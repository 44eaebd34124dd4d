using System.Runtime.InteropServices;

namespace Moe.Plugins.Kernels;

/// <summary>An activation's constants as the kernels take them: the fields of <c>Activation</c> of <c>activation.cuh</c>, which has the formulas.</summary>
/// <param name="Alpha">Factor inside of the sigmoid; β₁ of SiTU.</param>
/// <param name="Limit">Where gate and up are clamped; β₂ of SiTU.</param>
/// <param name="UpBias">Added to up: 1 for GPT-OSS, 0 for SiLU-gated layers.</param>
/// <param name="Kind">Which formula of <see cref="Gated"/>.</param>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct ActivationConstants(float Alpha, float Limit, float UpBias, int Kind)
{
    /// <summary>The kernels' argument for SiLU with its constants, clamped before it: GPT-OSS's and most.</summary>
    public const string Silu = "Activation";

    /// <summary>The kernels' argument for any activation with a gate.</summary>
    public const string Gated = "GatedActivation";

    /// <summary>The kernels' argument for relu², without a gate.</summary>
    public const string ReluSquared = "ReluSquared";

    /// <summary>Every argument that kernels are compiled with.</summary>
    public static IReadOnlyList<string> Types { get; } = [Silu, Gated, ReluSquared];

    /// <summary>Why the kernels have no such activation; null where they have.</summary>
    public static string? Refuse(MoeActivation activation)
    {
        ArgumentNullException.ThrowIfNull(activation);
        return (activation.Kind, activation.Function) switch
        {
            (MoeActivationKind.Glu, MoeGluFunction.Silu or MoeGluFunction.GeluTanh) => null,
            (MoeActivationKind.ReluSquared or MoeActivationKind.SiTu, _) => null,
            _ => $"its kernels have no activation {activation.Kind} with {activation.Function}",
        };
    }

    /// <summary>The kernels' argument for an activation.</summary>
    public static string TypeOf(MoeActivation activation)
    {
        ArgumentNullException.ThrowIfNull(activation);
        return activation switch
        {
            { Kind: MoeActivationKind.ReluSquared } => ReluSquared,
            { Kind: MoeActivationKind.Glu, Function: MoeGluFunction.Silu, ClampsAfter: false } => Silu,
            _ => Gated,
        };
    }

    /// <summary>The constants of an activation that is not refused.</summary>
    public static ActivationConstants Of(MoeActivation activation)
    {
        ArgumentNullException.ThrowIfNull(activation);
        return activation.Kind == MoeActivationKind.SiTu
            ? new(activation.GateBeta, activation.UpBeta, 0, 4)
            : new(
                activation.Alpha,
                activation.Limit,
                activation.Beta,
                (activation.Function == MoeGluFunction.GeluTanh ? 2 : 0) + (activation.ClampsAfter ? 1 : 0));
    }
}
