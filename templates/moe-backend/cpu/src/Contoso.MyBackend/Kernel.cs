using System.Numerics;
using System.Runtime.InteropServices;
using Moe.Plugins;

namespace Contoso.MyBackend;

/// <summary>The arithmetic: one token after the other, one expert after the other. This is what you came to make fast.</summary>
internal static unsafe class Kernel
{
    public static void Run(Weights weights, Workspace workspace, in MoeForwardArguments arguments)
    {
        MoeLayerShape shape = weights.Shape;
        for (int token = 0; token < arguments.Input.Rows; token++)
        {
            for (int i = 0; i < shape.HiddenSize; i++)
            {
                workspace.X[i] = Element.Read(arguments.Input, token, i);
            }

            Route(shape, arguments, weights, workspace, token);
            Array.Clear(workspace.Sums);
            for (int k = 0; k < shape.TopK; k++)
            {
                AddExpert(shape, weights, workspace, workspace.Ids[k], workspace.TopKWeights[k]);
            }

            for (int i = 0; i < shape.HiddenSize; i++)
            {
                Element.Write(arguments.Output, token, i, workspace.Sums[i]);
            }
        }
    }

    private static void Route(MoeLayerShape shape, in MoeForwardArguments arguments, Weights weights, Workspace workspace, int token)
    {
        if (arguments.Routing == MoeRoutingSource.Caller)
        {
            new ReadOnlySpan<int>((void*)arguments.TopKIds.RowAddress(token), shape.TopK).CopyTo(workspace.Ids);
            new ReadOnlySpan<float>((void*)arguments.TopKWeights.RowAddress(token), shape.TopK).CopyTo(workspace.TopKWeights);
            foreach (int id in workspace.Ids)
            {
                if ((uint)id >= (uint)shape.ExpertCount)
                {
                    throw new ArgumentException($"Token {token} goes to expert {id}; 0 to {shape.ExpertCount - 1} is expected.");
                }
            }

            return;
        }

        for (int expert = 0; expert < shape.ExpertCount; expert++)
        {
            workspace.Logits[expert] = Bias(weights.RouterBias, expert) + Dot(weights.Router.AsSpan(expert * shape.HiddenSize, shape.HiddenSize), workspace.X);
        }

        Choose(workspace);
        Weigh(shape.Router, workspace);
        if (!arguments.TopKIds.IsEmpty)
        {
            workspace.Ids.CopyTo(new Span<int>((void*)arguments.TopKIds.RowAddress(token), shape.TopK));
            workspace.TopKWeights.CopyTo(new Span<float>((void*)arguments.TopKWeights.RowAddress(token), shape.TopK));
        }
    }

    /// <summary>The largest logits, best first; of equal ones the lowest id, and NaN after every number.</summary>
    private static void Choose(Workspace workspace)
    {
        for (int k = 0; k < workspace.Ids.Length; k++)
        {
            int best = -1;
            for (int expert = 0; expert < workspace.Logits.Length; expert++)
            {
                bool isBetter = best < 0 || workspace.Logits[expert] > workspace.Logits[best]
                    || (float.IsNaN(workspace.Logits[best]) && !float.IsNaN(workspace.Logits[expert]));
                best = isBetter && !workspace.Ids.AsSpan(0, k).Contains(expert) ? expert : best;
            }

            workspace.Ids[k] = best;
        }
    }

    /// <summary>Softmax over the chosen, or over all: the programs that the backend's probe accepts.</summary>
    private static void Weigh(MoeRouter router, Workspace workspace)
    {
        float largest = workspace.Logits[workspace.Ids[0]];
        float all = 0;
        foreach (float logit in workspace.Logits)
        {
            all += MathF.Exp(logit - largest);
        }

        float chosen = 0;
        for (int k = 0; k < workspace.Ids.Length; k++)
        {
            workspace.TopKWeights[k] = MathF.Exp(workspace.Logits[workspace.Ids[k]] - largest);
            chosen += workspace.TopKWeights[k];
        }

        foreach (ref float weight in workspace.TopKWeights.AsSpan())
        {
            weight /= router is { Weights: MoeRouterWeights.ScoreOfChosen, Renormalize: false } ? all : chosen;
        }
    }

    private static void AddExpert(MoeLayerShape shape, Weights weights, Workspace workspace, int expert, float weight)
    {
        int hidden = shape.HiddenSize;
        int intermediate = shape.IntermediateSize;
        for (int i = 0; i < intermediate; i++)
        {
            int row = (2 * expert * intermediate) + (2 * i);
            float gate = Bias(weights.GateUpBias, row) + Dot(Row(weights.GateUp, row, hidden), workspace.X);
            float up = Bias(weights.GateUpBias, row + 1) + Dot(Row(weights.GateUp, row + 1, hidden), workspace.X);
            workspace.Act[i] = Activate(shape.Activation, gate, up);
        }

        for (int i = 0; i < hidden; i++)
        {
            int row = (expert * hidden) + i;
            workspace.Sums[i] += weight * (Bias(weights.DownBias, row) + Dot(Row(weights.Down, row, intermediate), workspace.Act));
        }
    }

    private static float Activate(MoeActivation activation, float gate, float up)
    {
        gate = MathF.Min(gate, activation.Limit);
        up = Math.Clamp(up, -activation.Limit, activation.Limit);
        return (up + activation.Beta) * gate / (1 + MathF.Exp(-activation.Alpha * gate));
    }

    private static float Bias(float[] biases, int index) => biases.Length == 0 ? 0 : biases[index];

    private static ReadOnlySpan<float> Row(float[] matrix, int row, int columns) =>
        MemoryMarshal.CreateReadOnlySpan(ref matrix[(long)row * columns], columns);

    private static float Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        Vector<float> sums = default;
        int i = 0;
        for (; i + Vector<float>.Count <= a.Length; i += Vector<float>.Count)
        {
            sums += new Vector<float>(a[i..]) * new Vector<float>(b[i..]);
        }

        float sum = Vector.Sum(sums);
        for (; i < a.Length; i++)
        {
            sum += a[i] * b[i];
        }

        return sum;
    }
}
