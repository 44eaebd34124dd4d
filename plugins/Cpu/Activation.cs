using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>What stands between the two products, for the gates and the ups of a panel.</summary>
internal static unsafe class Activation
{
    /// <summary>Computes the activation of a panel's 16 neurons for a block of tokens.</summary>
    /// <param name="activation">The formula and its constants.</param>
    /// <param name="sums">Sums of the panel, [tokens][32], gates before ups; overwritten.</param>
    /// <param name="bias">The panel's 32 biases.</param>
    /// <param name="tokens">Tokens of the block.</param>
    /// <param name="target">Result, [16][tokens].</param>
    public static void Apply(MoeActivation activation, float* sums, float* bias, int tokens, float* target)
    {
        for (int i = 0; i < tokens; i++)
        {
            float* gate = sums + (i * PanelKernel.Rows);
            for (int lane = 0; lane < PanelKernel.Half; lane += Vector128<float>.Count)
            {
                Vector128<float> g = Vector128.Load(gate + lane) + Vector128.Load(bias + lane);
                Vector128<float> u = Vector128.Load(gate + PanelKernel.Half + lane) + Vector128.Load(bias + PanelKernel.Half + lane);
                Apply(activation, g, u).Store(gate + lane);
            }

            for (int lane = 0; lane < PanelKernel.Half; lane++)
            {
                target[(lane * tokens) + i] = gate[lane];
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Apply(MoeActivation activation, Vector128<float> gate, Vector128<float> up)
    {
        if (activation.Kind == MoeActivationKind.SwiGluOai)
        {
            // Gate is bounded above alone (openai/gpt-oss, gpt_oss/torch/model.py, swiglu). Min and Max hand a NaN on.
            var limit = Vector128.Create(activation.Limit);
            gate = Vector128.Min(gate, limit);
            up = Vector128.Max(Vector128.Min(up, limit), -limit) + Vector128<float>.One;
        }

        Vector128<float> sigmoid = Vector128<float>.One / (Vector128<float>.One + Vector128.Exp(gate * -activation.Alpha));
        return up * gate * sigmoid;
    }
}
