using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>What stands between the two products (<see cref="MoeActivationKind"/> has the formulas), for the rows of a panel.</summary>
internal static unsafe class Activation
{
    /// <summary>Computes the activation of a panel's neurons for a token.</summary>
    /// <param name="activation">The formula and its constants.</param>
    /// <param name="sums">Sums of the panel's 32 rows, gates before ups; overwritten.</param>
    /// <param name="bias">The panel's 32 biases.</param>
    /// <param name="target">Result of the panel's first neuron.</param>
    /// <param name="step">Floats from there to the next neuron's.</param>
    public static void Apply(MoeActivation activation, float* sums, float* bias, float* target, int step)
    {
        // One loop per formula, so that none is chosen inside of it.
        switch (activation)
        {
            case { Kind: MoeActivationKind.Glu, Function: MoeGluFunction.Silu, ClampsAfter: false }:
                Gated<Silu>(activation, sums, bias, target, step);
                break;
            case { Kind: MoeActivationKind.Glu, Function: MoeGluFunction.Silu, ClampsAfter: true }:
                Gated<SiluThenClamp>(activation, sums, bias, target, step);
                break;
            case { Kind: MoeActivationKind.Glu, Function: MoeGluFunction.GeluTanh }:
                Gated<GeluTanh>(activation, sums, bias, target, step);
                break;
            case { Kind: MoeActivationKind.SiTu }:
                Gated<SiTu>(activation, sums, bias, target, step);
                break;
            case { Kind: MoeActivationKind.ReluSquared }:
                ReluSquared(sums, bias, target, step);
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

    private static void Gated<TFormula>(MoeActivation activation, float* sums, float* bias, float* target, int step)
        where TFormula : struct, IFormula
    {
        for (int lane = 0; lane < PanelKernel.Half; lane += Vector256<float>.Count)
        {
            Vector256<float> g = Vector256.Load(sums + lane) + Vector256.Load(bias + lane);
            Vector256<float> u = Vector256.Load(sums + PanelKernel.Half + lane) + Vector256.Load(bias + PanelKernel.Half + lane);
            TFormula.Of(activation, g, u).Store(sums + lane);
        }

        Write(sums, PanelKernel.Half, target, step);
    }

    private static void ReluSquared(float* sums, float* bias, float* target, int step)
    {
        for (int lane = 0; lane < PanelKernel.Rows; lane++)
        {
            // Max hands a NaN on.
            float up = MathF.Max(sums[lane] + bias[lane], 0);
            sums[lane] = up * up;
        }

        Write(sums, PanelKernel.Rows, target, step);
    }

    private static void Write(float* values, int count, float* target, int step)
    {
        if (step == 1)
        {
            new ReadOnlySpan<float>(values, count).CopyTo(new Span<float>(target, count));
            return;
        }

        for (int i = 0; i < count; i++)
        {
            target[i * step] = values[i];
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
