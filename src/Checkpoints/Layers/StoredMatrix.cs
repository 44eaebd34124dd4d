namespace Moe.Plugins.Checkpoints;

/// <summary>One matrix, or one of each expert, with all that belongs to it.</summary>
internal sealed record StoredMatrix
{
    /// <summary>The name that its tensors' names begin with.</summary>
    public required string Name { get; init; }

    public required MoeWeightFormat Format { get; init; }

    /// <summary>[planes, rows, columns], of FP4 two values a byte.</summary>
    public required MoeStoredTensor Values { get; init; }

    public MoeStoredTensor? Scales { get; init; }

    /// <summary>NVFP4: a factor for each plane, or two, of gates and ups apart.</summary>
    public GlobalScales? GlobalScales { get; init; }

    /// <summary>[planes, outputs].</summary>
    public MoeStoredTensor? Bias { get; init; }

    /// <summary>The bias's name, of the first expert; null where there is none.</summary>
    public string? BiasName { get; init; }

    public int ScaleRows { get; init; } = 128;

    public int ScaleColumns { get; init; } = 128;

    public int Planes => Values.Planes;

    public int Rows => Values.Rows;

    /// <summary>Values of a row.</summary>
    public int Columns => Format is MoeWeightFormat.Mxfp4 or MoeWeightFormat.Nvfp4 ? checked(2 * Values.Columns) : Values.Columns;

    public bool IsPlain => Format is MoeWeightFormat.BFloat16 or MoeWeightFormat.Float16 or MoeWeightFormat.Float32;

    /// <summary>Puts the experts' matrices behind each other, each where it lies.</summary>
    /// <exception cref="MoeException">One is of another format or size than the first.</exception>
    public static StoredMatrix Stack(IReadOnlyList<StoredMatrix> experts)
    {
        StoredMatrix first = experts[0];
        foreach (StoredMatrix other in experts)
        {
            if (!first.IsLike(other))
            {
                throw new MoeException(
                    MoeReason.Checkpoint,
                    $"'{PlainText.Of(other.Name)}' is {other}, and '{PlainText.Of(first.Name)}' is {first}; experts of one kind are expected.");
            }
        }

        return first with
        {
            Values = MoeStoredTensor.Stack([.. experts.Select(expert => expert.Values)]),
            Scales = first.Scales is null ? null : MoeStoredTensor.Stack([.. experts.Select(expert => expert.Scales!)]),
            GlobalScales = first.GlobalScales is null ? null : GlobalScales.Stack([.. experts.Select(expert => expert.GlobalScales!)]),
            Bias = first.Bias is null ? null : new StackedRows([.. experts.Select(expert => expert.Bias!)]),
        };
    }

    /// <summary>The matrix as the contract takes it.</summary>
    /// <param name="order">Which dimension runs along the rows.</param>
    /// <param name="rowOrder">How gates and ups are stored.</param>
    /// <param name="up">The ups, where they are apart.</param>
    public MoeExpertMatrix ToMatrix(
        MoeMatrixOrder order = MoeMatrixOrder.OutputMajor, MoeRowOrder rowOrder = MoeRowOrder.Interleaved, StoredMatrix? up = null) => new()
        {
            Values = Values,
            Scales = Scales,
            GlobalScales = GlobalScales?.OfHalf(0),
            Bias = Bias,
            ScaleRows = ScaleRows,
            ScaleColumns = ScaleColumns,
            Order = order,
            RowOrder = rowOrder,
            Up = up?.ToMatrix(),
        };

    /// <summary>Gates, then ups, where each half has a global scale of its own: as matrices apart.</summary>
    public MoeExpertMatrix SplitHalves()
    {
        StoredMatrix up = Half(1);
        return Half(0).ToMatrix(rowOrder: MoeRowOrder.Separate, up: up with { GlobalScales = null }) with
        {
            Up = up.ToMatrix() with { GlobalScales = GlobalScales!.OfHalf(1) },
        };
    }

    /// <summary>Format and sizes, <c>Mxfp4 [8, 128, 64]</c>.</summary>
    public override string ToString() => $"{Format} [{Planes}, {Rows}, {Columns}]{(Bias is null ? "" : " with bias")}";

    private StoredMatrix Half(int half) => this with
    {
        Values = Values.Slice(0, Planes, half * (Rows / 2), Rows / 2, 0, Values.Columns),
        Scales = Scales!.Slice(0, Planes, half * (Rows / 2), Rows / 2, 0, Scales.Columns),
        Bias = Bias?.Slice(0, 1, 0, Planes, half * (Rows / 2), Rows / 2),
    };

    private bool IsLike(StoredMatrix other) =>
        Format == other.Format && Planes == 1 && other.Planes == 1 && Rows == other.Rows && Columns == other.Columns
        && Values.ElementType == other.Values.ElementType && Scales?.ElementType == other.Scales?.ElementType
        && (ScaleRows, ScaleColumns) == (other.ScaleRows, other.ScaleColumns)
        && Bias?.ElementType == other.Bias?.ElementType;
}
