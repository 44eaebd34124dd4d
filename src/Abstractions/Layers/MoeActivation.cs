namespace Moe.Plugins;

/// <summary>The activation between an expert's two matrix products, with its constants.</summary>
public sealed record MoeActivation
{
    private MoeActivation(MoeActivationKind kind) => Kind = kind;

    /// <summary>The common gated SiLU: silu(gate) · up.</summary>
    public static MoeActivation SiluGated { get; } = Glu(MoeGluFunction.Silu);

    /// <summary>gelu_tanh(gate) · up.</summary>
    public static MoeActivation GeluTanhGated { get; } = Glu(MoeGluFunction.GeluTanh);

    /// <summary>relu(up)², without a gate.</summary>
    public static MoeActivation ReluSquared { get; } = new(MoeActivationKind.ReluSquared);

    /// <summary>The formula.</summary>
    public MoeActivationKind Kind { get; }

    /// <summary>The function of the gate.</summary>
    public MoeGluFunction Function { get; private init; }

    /// <summary>The factor inside the sigmoid.</summary>
    public float Alpha { get; private init; } = 1;

    /// <summary>What is added to up.</summary>
    public float Beta { get; private init; }

    /// <summary>Upper bound of gate and bound of |up|; +∞ for none. Gate has no lower bound.</summary>
    public float Limit { get; private init; } = float.PositiveInfinity;

    /// <summary>Whether gate is bounded after the function instead of before it: min(f(gate), limit). Up is bounded alike.</summary>
    public bool ClampsAfter { get; private init; }

    /// <summary>β₁ of <see cref="MoeActivationKind.SiTu"/>.</summary>
    public float GateBeta { get; private init; }

    /// <summary>β₂ of <see cref="MoeActivationKind.SiTu"/>; +∞ leaves up unchanged.</summary>
    public float UpBeta { get; private init; }

    /// <summary>Whether the first product has two rows per neuron, gate and up.</summary>
    public bool IsGated => Kind != MoeActivationKind.ReluSquared;

    /// <summary>A gated linear unit.</summary>
    /// <param name="function">The function of the gate.</param>
    /// <param name="alpha">The factor inside SiLU's sigmoid.</param>
    /// <param name="beta">What is added to up.</param>
    /// <param name="limit">The clamp, positive; +∞ for none.</param>
    /// <param name="clampsAfter">Whether gate is clamped after the function (Step-3.x) instead of before it.</param>
    /// <exception cref="ArgumentOutOfRangeException">A constant is out of range, or the function is not one of this contract's.</exception>
    public static MoeActivation Glu(
        MoeGluFunction function,
        float alpha = 1,
        float beta = 0,
        float limit = float.PositiveInfinity,
        bool clampsAfter = false)
    {
        if (!Enum.IsDefined(function))
        {
            throw new ArgumentOutOfRangeException(nameof(function), function, "Not a function of this contract.");
        }

        RequirePositive(alpha, nameof(alpha), "The sigmoid's factor");
        if (!float.IsFinite(beta))
        {
            throw new ArgumentOutOfRangeException(nameof(beta), beta, "What is added to up must be finite.");
        }

        if (!(limit > 0))
        {
            throw new ArgumentOutOfRangeException(nameof(limit), limit, "The clamp must be positive.");
        }

        return new MoeActivation(MoeActivationKind.Glu) { Function = function, Alpha = alpha, Beta = beta, Limit = limit, ClampsAfter = clampsAfter };
    }

    /// <summary>GPT-OSS's activation (openai/gpt-oss, <c>gpt_oss/torch/model.py</c>, <c>swiglu</c>), also MiniMax-M3's.</summary>
    /// <param name="alpha">The factor inside the sigmoid.</param>
    /// <param name="limit">The clamp, positive; +∞ for none.</param>
    /// <exception cref="ArgumentOutOfRangeException">A constant is not positive, or alpha is not finite.</exception>
    public static MoeActivation SwiGluOai(float alpha = 1.702f, float limit = 7.0f) => Glu(MoeGluFunction.Silu, alpha, beta: 1, limit);

    /// <summary>Kimi-K3's activation (vLLM, <c>activation.py</c>, SiTU).</summary>
    /// <param name="gateBeta">β₁, positive.</param>
    /// <param name="upBeta">β₂, positive; +∞ leaves up unchanged.</param>
    /// <exception cref="ArgumentOutOfRangeException">A constant is not positive, or the gate's is not finite.</exception>
    public static MoeActivation SiTu(float gateBeta, float upBeta = float.PositiveInfinity)
    {
        RequirePositive(gateBeta, nameof(gateBeta), "β₁");
        if (!(upBeta > 0))
        {
            throw new ArgumentOutOfRangeException(nameof(upBeta), upBeta, "β₂ must be positive.");
        }

        return new MoeActivation(MoeActivationKind.SiTu) { GateBeta = gateBeta, UpBeta = upBeta };
    }

    private static void RequirePositive(float value, string name, string what)
    {
        if (!(value > 0 && float.IsFinite(value)))
        {
            throw new ArgumentOutOfRangeException(name, value, $"{what} must be positive and finite.");
        }
    }
}
