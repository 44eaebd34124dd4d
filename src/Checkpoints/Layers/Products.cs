namespace Moe.Plugins.Checkpoints;

/// <summary>The two products of a feed-forward network, or of each expert.</summary>
internal sealed record Products
{
    /// <summary>Names that tools give to its matrices, each after the network's own name; gates and ups in one matrix, or apart.</summary>
    private static readonly (string? Both, string Gate, string Up, string Down)[] Names =
    [
        ("gate_up_proj", "", "", "down_proj"),
        (null, "gate_proj", "up_proj", "down_proj"),

        // Mixtral's numbers: w1 is the gate, w3 up, w2 down.
        (null, "w1", "w3", "w2"),
        ("input_linear", "", "", "output_linear"),
        ("mlp1", "", "", "mlp2"),
    ];

    public required MoeExpertMatrix GateUp { get; init; }

    public required MoeExpertMatrix Down { get; init; }

    public required MoeWeightFormat Format { get; init; }

    public required int Experts { get; init; }

    public required int Inputs { get; init; }

    public required int Intermediate { get; init; }

    public required bool HasBias { get; init; }

    /// <summary>The names of its matrices, whole.</summary>
    public required string[] Modules { get; init; }

    /// <summary>Reads them.</summary>
    /// <param name="source">Where from.</param>
    /// <param name="isGated">Whether the activation has a gate.</param>
    /// <param name="rows">How gates and ups lie where they are in one matrix.</param>
    /// <param name="order">Which dimension runs along the rows where sizes do not tell.</param>
    /// <param name="inputs">Inputs of the first product, and outputs of the second; 0 where they are whatever the tensors say.</param>
    /// <returns>The products, or null where the network has no such matrices.</returns>
    /// <exception cref="MoeException">A matrix is missing, or does not fit the others.</exception>
    public static Products? Read(ProductSource source, bool isGated, MoeRowOrder rows, MoeMatrixOrder order, int inputs)
    {
        foreach ((string? both, string gate, string up, string down) in Names)
        {
            bool isHere = both is not null ? source.Has(both) : source.Has(gate) || source.Has(up);
            if (!isHere)
            {
                continue;
            }

            StoredMatrix second = source.Read(down);
            if (both is not null)
            {
                return isGated
                    ? FromBoth(source, source.Read(both), second, rows, order, inputs)
                    : throw source.Error($"there is '{both}', and the activation has no gate");
            }

            if (!isGated)
            {
                return source.Has(gate)
                    ? throw source.Error($"there is '{gate}', and the activation has no gate")
                    : Create(source, source.Read(up), null, second, MoeMatrixOrder.OutputMajor, MoeRowOrder.Interleaved);
            }

            // Stacked tensors lie as the family's one tensor of both would.
            return Create(source, source.Read(gate), source.Read(up), second, MoeMatrixOrder.OutputMajor, MoeRowOrder.Separate);
        }

        (string? _, string lostGate, string _, string lone) = Array.Find(Names, names => source.Has(names.Down));
        return lone is null
            ? null
            : throw source.Error($"there is '{lone}', and its first product is missing ({(lostGate.Length == 0 ? "in one matrix or as gate_proj and up_proj" : lostGate)})");
    }

    private static Products FromBoth(
        ProductSource source, StoredMatrix first, StoredMatrix second, MoeRowOrder rows, MoeMatrixOrder order, int inputs)
    {
        bool isOutputMajor = first.Columns == inputs && second.Rows == inputs;
        bool isInputMajor = first.IsPlain && second.IsPlain && first.Rows == inputs && second.Columns == inputs;
        order = (isOutputMajor, isInputMajor) switch
        {
            (true, false) => MoeMatrixOrder.OutputMajor,
            (false, true) => MoeMatrixOrder.InputMajor,
            _ => first.IsPlain && inputs != 0 ? order : MoeMatrixOrder.OutputMajor,
        };
        return Create(source, first, null, second, order, rows);
    }

    private static Products Create(
        ProductSource source, StoredMatrix first, StoredMatrix? up, StoredMatrix second, MoeMatrixOrder order, MoeRowOrder rows)
    {
        RequireSameFormat(source, first, second);
        if (up is not null)
        {
            RequireSameFormat(source, first, up);
        }

        (int outputs, int inputs) = Sizes(first, order);
        (int downOutputs, int intermediate) = Sizes(second, order);
        bool isOne = rows != MoeRowOrder.Separate && source.IsGated;
        bool fits = (isOne ? outputs == 2L * intermediate : outputs == intermediate) && downOutputs == inputs && first.Planes == second.Planes
            && (up is null || (up.Planes == first.Planes && Sizes(up, order) == (outputs, inputs)));
        if (!fits)
        {
            string ups = up is null ? "" : $", '{PlainText.Of(up.Name)}' {up}";
            throw source.Error(
                $"the sizes of '{PlainText.Of(first.Name)}' {first}{ups} and '{PlainText.Of(second.Name)}' {second} do not fit each other: found are "
                + $"{inputs} inputs and {outputs} outputs of the one, {intermediate} inputs and {downOutputs} outputs of the other");
        }

        if ((first.Bias is null) != (second.Bias is null) || (up is not null && (first.Bias is null) != (up.Bias is null)))
        {
            StoredMatrix without = first.Bias is null ? first : second.Bias is null ? second : up!;
            throw source.Error($"the bias of '{PlainText.Of(without.Name)}' is missing");
        }

        RequireBias(source, first, outputs);
        RequireBias(source, second, downOutputs);
        RequireBias(source, up ?? second, up is null ? downOutputs : outputs);
        return new Products
        {
            GateUp = first.GlobalScales is { Halves: 2 } ? Split(source, first, rows) : first.ToMatrix(order, rows, up),
            Down = second.GlobalScales is { Halves: 2 }
                ? throw source.Error($"'{PlainText.Of(second.Name)}' has two global scales an expert; one is expected")
                : second.ToMatrix(order),
            Format = first.Format,
            Experts = first.Planes,
            Inputs = inputs,
            Intermediate = intermediate,
            HasBias = first.Bias is not null,
            Modules = [.. source.Modules(first.Name), .. up is null ? [] : source.Modules(up.Name), .. source.Modules(second.Name)],
        };
    }

    private static void RequireBias(ProductSource source, StoredMatrix matrix, int outputs)
    {
        bool fits = matrix.Bias is not { } bias
            || (bias.ElementType is MoeElementType.BFloat16 or MoeElementType.Float16 or MoeElementType.Float32
                && bias.Planes == 1 && bias.Rows == matrix.Planes && bias.Columns == outputs);
        if (!fits)
        {
            throw source.Error($"'{PlainText.Of(matrix.BiasName)}' is {matrix.Bias}; BFloat16, Float16 or Float32 [1, {matrix.Planes}, {outputs}] is expected");
        }
    }

    private static MoeExpertMatrix Split(ProductSource source, StoredMatrix first, MoeRowOrder rows) => rows == MoeRowOrder.GateThenUp
        ? first.SplitHalves()
        : throw source.Error($"'{PlainText.Of(first.Name)}' has two global scales an expert, and its gates and ups are not one after the other");

    private static (int Outputs, int Inputs) Sizes(StoredMatrix matrix, MoeMatrixOrder order) =>
        order == MoeMatrixOrder.OutputMajor ? (matrix.Rows, matrix.Columns) : (matrix.Columns, matrix.Rows);

    private static void RequireSameFormat(ProductSource source, StoredMatrix first, StoredMatrix other)
    {
        if (first.Format != other.Format)
        {
            throw source.Error($"'{PlainText.Of(first.Name)}' is {first} and '{PlainText.Of(other.Name)}' is {other}; one format for both is expected");
        }
    }
}
