using System.Globalization;
using System.Text.Json;
using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.Cli;

/// <summary>What a layer computes, for people and for programs.</summary>
internal static class LayerText
{
    /// <summary>Lines for people.</summary>
    public static IEnumerable<string> Describe(CheckpointLayer layer)
    {
        yield return $"{layer.Family}: {Router(layer)}; {Activation(layer.Shape.Activation)}";
        if (layer.Shape.Shared is { } shared)
        {
            string gate = shared.HasGate ? ", with a gate" : "";
            string own = shared.Activation == layer.Shape.Activation ? "" : $", {Activation(shared.Activation)}";
            yield return Invariant($"shared experts: width {shared.IntermediateSize}, {LayerShapeText.Name(shared.WeightFormat)}{gate}{own}");
        }

        if (layer.Shape.Latent is { } latent)
        {
            string norm = latent.NormEpsilon is float epsilon ? Invariant($", RMS norm behind their sum (epsilon {epsilon})") : "";
            yield return Invariant($"latent experts: width {latent.Width}, projections in {LayerShapeText.Name(latent.WeightFormat)}{norm}");
        }
    }

    public static void Write(Utf8JsonWriter writer, CheckpointLayer layer)
    {
        MoeLayerShape shape = layer.Shape;
        writer.WriteString("family", layer.Family);
        writer.WriteString("caller_routes", layer.CallerRoutes);
        writer.WriteStartObject("router");
        writer.WriteString("score", shape.Router.Score.ToString());
        writer.WriteString("weights", shape.Router.Weights.ToString());
        writer.WriteBoolean("renormalize", shape.Router.Renormalize);
        writer.WriteNumber("epsilon", shape.Router.Epsilon);
        writer.WriteBoolean("epsilon_is_floor", shape.Router.EpsilonIsFloor);
        writer.WriteNumber("scale", shape.Router.Scale);
        writer.WriteNumber("groups", shape.Router.GroupCount);
        writer.WriteNumber("top_groups", shape.Router.TopGroups);
        writer.WriteString("group_rule", shape.Router.GroupRule.ToString());
        writer.WriteString("choice", shape.Router.Choice.ToString());
        writer.WriteString("weight_on", shape.Router.WeightOn.ToString());
        writer.WriteBoolean("selection_bias", shape.Router.HasSelectionBias);
        writer.WriteEndObject();
        writer.WriteString("activation_text", Activation(shape.Activation));
        if (shape.Shared is { } shared)
        {
            writer.WriteStartObject("shared_experts");
            writer.WriteNumber("intermediate_size", shared.IntermediateSize);
            writer.WriteString("weight_format", LayerShapeText.Name(shared.WeightFormat));
            writer.WriteString("activation_text", Activation(shared.Activation));
            writer.WriteBoolean("gate", shared.HasGate);
            writer.WriteEndObject();
        }

        if (shape.Latent is { } latent)
        {
            writer.WriteStartObject("latent_experts");
            writer.WriteNumber("width", latent.Width);
            writer.WriteString("weight_format", LayerShapeText.Name(latent.WeightFormat));
            writer.WriteNumberOrNull("norm_epsilon", latent.NormEpsilon);
            writer.WriteEndObject();
        }
    }

    private static string Router(CheckpointLayer layer)
    {
        MoeRouter router = layer.Shape.Router;
        if (layer.CallerRoutes is string reason)
        {
            return $"the caller routes, because {reason}";
        }

        var parts = new List<string>
        {
            (router.Score, router.Weights) switch
            {
                (_, MoeRouterWeights.SoftmaxOfChosen) => "top-k of the logits, softmax of the chosen",
                (MoeRouterScore.SqrtSoftplus, _) => "sqrt-softplus router",
                _ => $"{router.Score.ToString().ToLowerInvariant()} router",
            },
        };
        Add(router.Choice == MoeRouterChoice.TokenTable, "experts looked up by token");
        Add(router.GroupCount > 1, Invariant($"{router.TopGroups} of {router.GroupCount} groups by {(router.GroupRule == MoeGroupRule.Max ? "their best" : "their two best")}"));
        Add(router.HasSelectionBias, "selection bias");
        Add(router.Renormalize, "weights divided by their sum");
        Add(router.Scale != 1, Invariant($"times {router.Scale}"));
        Add(router.WeightOn == MoeWeightOn.Input, "weights on the experts' input");
        return string.Join(", ", parts);

        void Add(bool condition, string part)
        {
            if (condition)
            {
                parts.Add(part);
            }
        }
    }

    private static string Activation(MoeActivation activation)
    {
        string limit = activation.Limit < float.PositiveInfinity
            ? Invariant($", clamped at {activation.Limit} {(activation.ClampsAfter ? "behind" : "before")} it") : "";
        return activation.Kind switch
        {
            MoeActivationKind.ReluSquared => "ReLU² without a gate",
            MoeActivationKind.SiTu => Invariant($"SiTU ({activation.GateBeta}, {activation.UpBeta})"),
            _ when activation.Function == MoeGluFunction.GeluTanh => $"gated GELU{limit}",
            _ when activation is { Alpha: 1, Beta: 0 } => $"gated SiLU{limit}",
            _ => Invariant($"gated SiLU (alpha {activation.Alpha}, up + {activation.Beta}){limit}"),
        };
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
