namespace Moe.Plugins;

/// <summary>The activation between an expert's two matrix products, with its constants.</summary>
public sealed record MoeActivation
{
    private MoeActivation(MoeActivationKind kind, float alpha, float limit)
    {
        Kind = kind;
        Alpha = alpha;
        Limit = limit;
    }

    /// <summary>The common gated SiLU, without constants.</summary>
    public static MoeActivation SiluGated { get; } = new(MoeActivationKind.SiluGated, 1f, float.PositiveInfinity);

    /// <summary>The formula.</summary>
    public MoeActivationKind Kind { get; }

    /// <summary>The factor inside the sigmoid; 1 for <see cref="MoeActivationKind.SiluGated"/>.</summary>
    public float Alpha { get; }

    /// <summary>Upper bound of gate and bound of |up|; +∞ for <see cref="MoeActivationKind.SiluGated"/>. Gate has no lower bound.</summary>
    public float Limit { get; }

    /// <summary>GPT-OSS's activation (openai/gpt-oss, <c>gpt_oss/torch/model.py</c>, <c>swiglu</c>).</summary>
    /// <param name="alpha">The factor inside the sigmoid.</param>
    /// <param name="limit">The clamp, positive; +∞ for none.</param>
    /// <exception cref="ArgumentOutOfRangeException">A constant is not positive, or alpha is not finite.</exception>
    public static MoeActivation SwiGluOai(float alpha = 1.702f, float limit = 7.0f)
    {
        if (!(alpha > 0 && float.IsFinite(alpha)))
        {
            throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "The sigmoid's factor must be positive and finite.");
        }

        if (!(limit > 0))
        {
            throw new ArgumentOutOfRangeException(nameof(limit), limit, "The clamp must be positive.");
        }

        return new MoeActivation(MoeActivationKind.SwiGluOai, alpha, limit);
    }
}
