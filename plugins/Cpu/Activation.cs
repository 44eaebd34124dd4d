using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>What stands between the two products (<see cref="MoeActivationKind"/> has the formulas), for the rows of a panel.</summary>
internal static unsafe class Activation
{
    /// <summary>Computes the activation of a panel's neurons for a block of tokens.</summary>
    /// <param name="activation">The formula and its constants.</param>
    /// <param name="sums">Sums of the panel, [tokens][32], gates before ups; overwritten.</param>
    /// <param name="bias">The panel's 32 biases.</param>
    /// <param name="tokens">Tokens of the block.</param>
    /// <param name="target">Result, [neurons of the panel][tokens].</param>
    public static void Apply(MoeActivation activation, float* sums, float* bias, int tokens, float* target)
    {
        // One loop per formula, so that none is chosen inside of it.
        switch (activation)
        {
            case { Kind: MoeActivationKind.Glu, Function: MoeGluFunction.Silu, ClampsAfter: false }:
                Gated<Silu>(activation, sums, bias, tokens, target);
                break;
            case { Kind: MoeActivationKind.Glu, Function: MoeGluFunction.Silu, ClampsAfter: true }:
                Gated<SiluThenClamp>(activation, sums, bias, tokens, target);
                break;
            case { Kind: MoeActivationKind.Glu, Function: MoeGluFunction.GeluTanh }:
                Gated<GeluTanh>(activation, sums, bias, tokens, target);
                break;
            case { Kind: MoeActivationKind.SiTu }:
                Gated<SiTu>(activation, sums, bias, tokens, target);
                break;
            case { Kind: MoeActivationKind.ReluSquared }:
                ReluSquared(sums, bias, tokens, target);
                break;
            default:
                throw Unknown(activation);
        }
    }

    /// <summary>Why a layer with this activation cannot run; null where it can.</summary>
    public static string? Refusal(MoeActivation activation) => activation switch
    {
        { Kind: MoeActivationKind.Glu, Function: MoeGluFunction.Silu or MoeGluFunction.GeluTanh } => null,
        { Kind: MoeActivationKind.SiTu or MoeActivationKind.ReluSquared } => null,
        _ => Unknown(activation).Message,
    };

    private interface IFormula
    {
        static abstract Vector256<float> Of(MoeActivation activation, Vector256<float> gate, Vector256<float> up);
    }

    private static MoeException Unknown(MoeActivation activation) =>
        new(MoeReason.Format, $"Activation {activation.Kind} with {activation.Function} is not one that this backend knows.");

    private static void Gated<TFormula>(MoeActivation activation, float* sums, float* bias, int tokens, float* target)
        where TFormula : struct, IFormula
    {
        for (int i = 0; i < tokens; i++)
        {
            float* gate = sums + (i * PanelKernel.Rows);
            for (int lane = 0; lane < PanelKernel.Half; lane += Vector256<float>.Count)
            {
                Vector256<float> g = Vector256.Load(gate + lane) + Vector256.Load(bias + lane);
                Vector256<float> u = Vector256.Load(gate + PanelKernel.Half + lane) + Vector256.Load(bias + PanelKernel.Half + lane);
                TFormula.Of(activation, g, u).Store(gate + lane);
            }

            if (tokens == 1)
            {
                new ReadOnlySpan<float>(gate, PanelKernel.Half).CopyTo(new Span<float>(target, PanelKernel.Half));
                continue;
            }

            for (int lane = 0; lane < PanelKernel.Half; lane++)
            {
                target[(lane * tokens) + i] = gate[lane];
            }
        }
    }

    private static void ReluSquared(float* sums, float* bias, int tokens, float* target)
    {
        for (int i = 0; i < tokens; i++)
        {
            for (int lane = 0; lane < PanelKernel.Rows; lane++)
            {
                // Max hands a NaN on.
                float up = MathF.Max(sums[(i * PanelKernel.Rows) + lane] + bias[lane], 0);
                target[(lane * tokens) + i] = up * up;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Sigmoid(Vector256<float> x) => Vector256<float>.One / (Vector256<float>.One + Vector256.Exp(-x));

    /// <summary>tanh x = 1 − 2 ÷ (1 + e^2x); for small x, where that cancels, x − x³/3 + 2x⁵/15.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Tanh(Vector256<float> x)
    {
        Vector256<float> square = x * x;
        Vector256<float> small = x * (Vector256<float>.One + (square * (Vector256.Create(-1f / 3) + (square * (Vector256.Create(2f / 15) + (square * Vector256.Create(-17f / 315)))))));
        Vector256<float> large = Vector256<float>.One - (Vector256.Create(2f) / (Vector256<float>.One + Vector256.Exp(x + x)));
        return Vector256.ConditionalSelect(Vector256.LessThan(Vector256.Abs(x), Vector256.Create(0.1f)), small, large);
    }

    // Min and Max hand a NaN on. Gate is bounded above only (openai/gpt-oss, gpt_oss/torch/model.py, swiglu).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> BoundUp(MoeActivation activation, Vector256<float> up)
    {
        var limit = Vector256.Create(activation.Limit);
        return Vector256.Max(Vector256.Min(up, limit), -limit) + Vector256.Create(activation.Beta);
    }

    private readonly struct Silu : IFormula
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Of(MoeActivation activation, Vector256<float> gate, Vector256<float> up)
        {
            gate = Vector256.Min(gate, Vector256.Create(activation.Limit));
            return BoundUp(activation, up) * gate * Sigmoid(gate * activation.Alpha);
        }
    }

    private readonly struct SiluThenClamp : IFormula
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Of(MoeActivation activation, Vector256<float> gate, Vector256<float> up) =>
            BoundUp(activation, up) * Vector256.Min(gate * Sigmoid(gate * activation.Alpha), Vector256.Create(activation.Limit));
    }

    private readonly struct GeluTanh : IFormula
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Of(MoeActivation activation, Vector256<float> gate, Vector256<float> up)
        {
            var limit = Vector256.Create(activation.Limit);
            gate = activation.ClampsAfter ? gate : Vector256.Min(gate, limit);

            // ½ (1 + tanh z) = sigmoid(2z)
            Vector256<float> z = Vector256.Create(0.7978845608f) * (gate + (Vector256.Create(0.044715f) * gate * gate * gate));
            Vector256<float> gelu = gate * Sigmoid(z + z);
            return BoundUp(activation, up) * (activation.ClampsAfter ? Vector256.Min(gelu, limit) : gelu);
        }
    }

    private readonly struct SiTu : IFormula
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Of(MoeActivation activation, Vector256<float> gate, Vector256<float> up)
        {
            var gateBeta = Vector256.Create(activation.GateBeta);
            var upBeta = Vector256.Create(activation.UpBeta);
            Vector256<float> bounded = float.IsPositiveInfinity(activation.UpBeta) ? up : upBeta * Tanh(up / upBeta);
            return gateBeta * Tanh(gate / gateBeta) * Sigmoid(gate) * bounded;
        }
    }
}
