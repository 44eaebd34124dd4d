namespace Moe.Plugins.Conformance;

/// <summary>
/// What a method loses besides the rounding of activations that it names, on what costs it most: sums that are long and of one sign, weights whose scales are
/// further apart than eight bits hold, channels of outliers.
/// </summary>
internal sealed class BeyondRoundingRule() : ConformanceRule(
    "beyond-rounding", "Of a method that says what it rounds activations to, results are as near as it promises to those of an oracle that rounds so too.")
{
    private const int Tokens = 16;
    private const int BlockSize = MoeExpertReader.Mxfp4Block;

    /// <summary>So far below the other blocks of a row every second block's scale lies, as a power of two; what it multiplies is larger by some of that.</summary>
    private const int ScalesApart = 13;
    private const int InputsApart = 9;

    /// <summary>
    /// The power of two nearest to <see cref="RandomInput.OutlierFactor"/>. Where blocks are as far apart as here, no channel is an outlier besides: with a scale for a
    /// whole row, what lies 2^13.8 below its largest is rounded to less than a block's own scale keeps.
    /// </summary>
    private const int OutliersLowered = 4;

    private const int ExponentBits = 0x7F80;
    private const int ExponentShift = 7;

    private const int OutlierEvery = 37;
    private const int OutlierExponent = 6;

    private static readonly MoeLayerShape Plain = new()
    {
        HiddenSize = 768,
        IntermediateSize = 384,
        ExpertCount = 2,
        TopK = 1,
        Activation = MoeActivation.SiluGated,
        HasExpertBias = false,
    };

    private static readonly Case[] Cases =
    [
        new("sums of one sign", Plain with { HiddenSize = 16384, IntermediateSize = 64 }, Positive, static _ => 0, HasSigns: false),
        new("scales far apart", Plain, SetScalesApart, static channel => (channel / BlockSize % 2 * InputsApart) - (channel % RandomInput.OutlierEvery == 0 ? OutliersLowered : 0)),
        new("channels of outliers", Plain, static _ => { }, static channel => channel % OutlierEvery == 3 ? OutlierExponent : 0),
    ];

    internal override void Check(RuleRun run)
    {
        // Of all cases at once: the rule applies where one of them has a layer that the backend runs.
        IReadOnlyList<MoeLayerShape> shapes = run.Shapes(Cases.Select(one => one.Shape).Distinct());
        foreach (Case one in Cases.Where(one => shapes.Contains(one.Shape)))
        {
            using LayerUnderTest layer = run.Make(one.Shape, edit: one.Edit);
            if (layer.Method.Numerics.ActivationRounding == MoeActivationRounding.None)
            {
                run.NotSupported("it names nothing that it rounds activations to");
                return;
            }

            using IMoeWorkspace workspace = layer.MakeWorkspace();
            using MoeBuffer input = layer.Input(Tokens, run.Subject.Seed);
            EditInput(input, one);
            using ForwardResult result = run.Forward(layer, workspace, input);
            run.RequireNumericsBeyondRounding(layer, input, result, $" beyond {layer.Method.Numerics.ActivationRounding}, with {one.Name}");
        }
    }

    private static void Positive(RandomLayer layer) => WeightEdit.ClearSigns(layer.Tensors.GateUp.Values);

    private static void SetScalesApart(RandomLayer layer) => WeightEdit.LowerEverySecondScale(layer.Tensors.GateUp.Scales, ScalesApart);

    private static unsafe void EditInput(MoeBuffer input, Case one)
    {
        for (int row = 0; row < input.View.Rows; row++)
        {
            var values = new Span<ushort>((void*)input.View.RowAddress(row), input.View.Columns);
            for (int i = 0; i < values.Length; i++)
            {
                int value = values[i] & (one.HasSigns ? 0xFFFF : 0x7FFF);

                // BF16's exponent; 0 stays what it is.
                values[i] = (ushort)(value + ((value & ExponentBits) == 0 ? 0 : one.Exponent(i) << ExponentShift));
            }
        }
    }

    /// <summary>A layer, what is done to its weights, by which power of two each channel of its input is larger, and whether that has signs.</summary>
    private sealed record Case(string Name, MoeLayerShape Shape, Action<RandomLayer> Edit, Func<int, int> Exponent, bool HasSigns = true);
}
