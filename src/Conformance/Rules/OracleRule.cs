namespace Moe.Plugins.Conformance;

/// <summary>
/// A layer whose weights have been edited such that one thing decides its result, held against the float64 oracle: so that a failure names
/// that thing.
/// </summary>
internal sealed class OracleRule : ConformanceRule
{
    private const ushort One = 0x3F80;
    private const ushort Large = 0x4180; // 16

    private readonly int _tokens;
    private readonly Func<MoeLayerShape, bool> _filter;
    private readonly Action<RandomLayer> _edit;
    private readonly MoeRowOrder _rowOrder;

    private OracleRule(
        string id,
        string statement,
        Action<RandomLayer> edit,
        Func<MoeLayerShape, bool>? filter = null,
        int tokens = 7,
        MoeRowOrder rowOrder = MoeRowOrder.Interleaved)
        : base(id, statement)
    {
        _rowOrder = rowOrder;
        _edit = edit;
        _filter = filter ?? (_ => true);
        _tokens = tokens;
    }

    public static IReadOnlyList<ConformanceRule> All { get; } =
    [
        new OracleRule("numerics", "A layer of random weights comes out within the numerics that the method promises.", static _ => { }, tokens: 33),
        new OracleRule(
            "down-bias-counts",
            "With weights of zero, the result is the second product's biases, weighted.",
            static layer =>
            {
                WeightEdit.ClearValues(layer.Tensors.GateUp);
                WeightEdit.ClearValues(layer.Tensors.Down);
            },
            static shape => shape.HasExpertBias),
        new OracleRule(
            "gate-up-bias-counts",
            "With a first product of zero, what the experts see is its biases.",
            static layer =>
            {
                WeightEdit.ClearValues(layer.Tensors.GateUp);
                WeightEdit.Fill(layer.Tensors.Down.Bias, 0);
            },
            static shape => shape.HasExpertBias),
        new OracleRule(
            "gate-is-the-even-row",
            "Even rows of the first product are gates and odd ones ups.",
            static layer =>
            {
                WeightEdit.ClearRows(layer.Tensors.GateUp, static row => row % 2 == 1);
                WeightEdit.Fill(layer.Tensors.GateUp.Bias, 0);
            },
            static shape => shape.Activation is { IsGated: true, Beta: not 0 }),
        new OracleRule(
            "low-nibble-first",
            "The low nibble of a byte of MXFP4 codes is the earlier input.",
            static layer =>
            {
                WeightEdit.KeepNibble(layer.Tensors.GateUp.Values, isLow: true);
                WeightEdit.KeepNibble(layer.Tensors.Down.Values, isLow: false);
            },
            static shape => shape.WeightFormat == MoeWeightFormat.Mxfp4),
        new OracleRule(
            "scale-of-each-block",
            "Each block of 32 inputs has its own scale, from 2^-9 to 2^-2 here.",
            static layer =>
            {
                WeightEdit.SpreadScales(layer.Tensors.GateUp.Scales);
                WeightEdit.SpreadScales(layer.Tensors.Down.Scales);
            },
            static shape => shape.WeightFormat == MoeWeightFormat.Mxfp4),
        new OracleRule(
            "activation-clamps",
            "Gate is clamped from above alone, up from both sides; or neither, as the layer says.",
            static layer => WeightEdit.FillByIndex(layer.Tensors.GateUp.Bias, static i => (i % 5) switch { 0 => Large, 1 => Large | 0x8000, 2 => One, 3 => One | 0x8000, _ => 0 }),
            static shape => shape.HasExpertBias),
        new OracleRule(
            "router-bias-counts",
            "The router's bias is part of the logits.",
            static layer => WeightEdit.FillByIndex(layer.Tensors.RouterBias, static i => (ushort)(i % 3 == 0 ? Large : 0)),
            static shape => shape.Router.HasLogitBias),
        new OracleRule(
            "selection-bias-only-chooses",
            "The selection bias counts for the choice of experts, and not for their weights.",
            static layer => WeightEdit.FillSelectionBias(layer.Tensors.SelectionBias, static i => i % 3 == 0 ? 3 : 0),
            static shape => shape.Router.HasSelectionBias,
            tokens: 33),
        new OracleRule(
            "selection-bias-is-float32",
            "The selection bias keeps its precision: a model's may lie so close together that BF16 leaves few of its values (GLM-5.2: 6.82 to 7.06).",
            static layer => WeightEdit.FillSelectionBias(layer.Tensors.SelectionBias, static i => 6.8125f + (i * 29 % 64 / 256f)),
            static shape => shape.Router.HasSelectionBias,
            tokens: 33),
        new OracleRule(
            "groups-count",
            "Experts are chosen only from the groups that are kept, by the rule that the layer says, also where every score with its bias is negative.",
            static layer => WeightEdit.FillSelectionBias(layer.Tensors.SelectionBias, static i => -2 - (i * 5 % 16 / 64f)),
            static shape => shape.Router.GroupCount > 1,
            tokens: 33),
        new OracleRule(
            "weights-are-scaled-once",
            "The weights of the chosen experts are multiplied by the router's scale, once.",
            static _ => { },
            static shape => shape.Router.Scale != 1),
        new OracleRule(
            "weight-on-its-side",
            "An expert's weight multiplies its input where the layer says so, and its output otherwise.",
            static _ => { },
            static shape => shape.Router.WeightOn == MoeWeightOn.Input),
        new OracleRule(
            "shared-experts-count",
            "With routed experts of zero, the result is that of the shared experts, through their gate where they have one.",
            static layer => WeightEdit.ClearValues(layer.Tensors.Down),
            static shape => shape.Shared is not null && !shape.HasExpertBias),
        new OracleRule(
            "clamps-on-its-side",
            "Gate is clamped before its function or after it, as the layer says.",
            static _ => { },
            static shape => float.IsFinite(shape.Activation.Limit) && shape.Activation.Kind == MoeActivationKind.Glu,
            tokens: 33),
        new OracleRule(
            "gates-and-ups-apart",
            "Gates and ups that are stored in tensors of their own are not taken for each other.",
            static _ => { },
            static shape => shape.Activation.IsGated,
            rowOrder: MoeRowOrder.Separate),
        new OracleRule(
            "gates-then-ups",
            "Gates that are stored before all ups are paired with their own.",
            static _ => { },
            static shape => shape.Activation.IsGated,
            rowOrder: MoeRowOrder.GateThenUp),
    ];

    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape shape in run.Shapes(_filter))
        {
            using LayerUnderTest layer = run.Make(shape, edit: _edit, rowOrder: _rowOrder);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            using MoeBuffer input = layer.Input(_tokens, run.Subject.Seed);
            using ForwardResult result = run.Forward(layer, workspace, input);
            OracleResult own = layer.Oracle(input, cancellationToken: run.CancellationToken);
            RoutingDifference routing = RoutingDifference.Measure(result.Ids.View, own);
            if (routing.TokenCount > 0 && !routing.IsTie)
            {
                run.Fail("the oracle's choice of experts", $"{routing.TokenCount} tokens sent elsewhere, by a gap of {routing.LargestGap:g3}");
                continue;
            }

            run.RequireNumerics(layer, input, result, diagnose: () => KnownMistake.Find(layer, () => MakeWeights(shape, run.Subject.Seed), input, result));
        }
    }

    private RandomLayer MakeWeights(MoeLayerShape shape, int seed)
    {
        var layer = new RandomLayer(shape, seed, rowOrder: _rowOrder);
        _edit(layer);
        return layer;
    }
}
