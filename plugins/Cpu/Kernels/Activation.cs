using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>What stands between the two products, for a panel of gates and the panel of their ups.</summary>
internal static unsafe class Activation
{
    /// <summary>Computes the activation of 16 neurons for a block of tokens.</summary>
    /// <param name="activation">The formula and its constants.</param>
    /// <param name="gate">Sums of the gates, [tokens][16]; overwritten.</param>
    /// <param name="up">Sums of the ups, [tokens][16].</param>
    /// <param name="gateBias">The gates' 16 biases.</param>
    /// <param name="upBias">The ups' 16 biases.</param>
    /// <param name="tokens">Tokens of the block.</param>
    /// <param name="target">Result, [16][tokens].</param>
    public static void Apply(MoeActivation activation, float* gate, float* up, float* gateBias, float* upBias, int tokens, float* target)
    {
        for (int i = 0; i < tokens; i++)
        {
            for (int lane = 0; lane < PanelKernel.Rows; lane += Vector128<float>.Count)
            {
                float* place = gate + (i * PanelKernel.Rows) + lane;
                Vector128<float> g = Vector128.Load(place) + Vector128.Load(gateBias + lane);
                Vector128<float> u = Vector128.Load(up + (i * PanelKernel.Rows) + lane) + Vector128.Load(upBias + lane);
                Apply(activation, g, u).Store(place);
            }

            for (int lane = 0; lane < PanelKernel.Rows; lane++)
            {
                target[(lane * tokens) + i] = gate[(i * PanelKernel.Rows) + lane];
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
