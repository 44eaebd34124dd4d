namespace Moe.Plugins.Bf16;

/// <summary>
/// Both activations as one formula, which is what the kernels compute:
/// (clamp(up, ±limit) + up bias) · gate · sigmoid(alpha · gate) with gate = min(gate, limit).
/// </summary>
internal readonly record struct ActivationConstants(float Alpha, float Limit, float UpBias)
{
    public static ActivationConstants Of(MoeActivation activation) =>
        new(activation.Alpha, activation.Limit, activation.Kind == MoeActivationKind.SwiGluOai ? 1f : 0f);
}
