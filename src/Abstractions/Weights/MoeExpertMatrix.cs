namespace Moe.Plugins;

/// <summary>
/// One of the weight matrices of all experts, as the checkpoint stores it: where its values, scales and biases are, and in what order. It
/// is read through a <see cref="MoeExpertReader"/>, which hands out one order whatever is stored.
/// </summary>
public sealed record MoeExpertMatrix
{
    /// <summary>
    /// [experts, outputs, inputs] or, input-major, [experts, inputs, outputs]. FP4: [experts, outputs, inputs / 2] bytes, the low nibble
    /// the earlier input.
    /// </summary>
    public required MoeStoredTensor Values { get; init; }

    /// <summary>
    /// MXFP4: [experts, outputs, inputs / 32] E8M0 bytes. NVFP4: [experts, outputs, inputs / 16] E4M3. FP8: [experts, blocks of outputs, blocks
    /// of inputs] float32 or E8M0. Null for unquantised weights.
    /// </summary>
    public MoeStoredTensor? Scales { get; init; }

    /// <summary>NVFP4: [1, experts] float32, one factor per matrix. Null otherwise.</summary>
    public MoeStoredTensor? GlobalScales { get; init; }

    /// <summary>[experts, outputs] BF16, FP16 or float32; null where the shape has no such bias.</summary>
    public MoeStoredTensor? Bias { get; init; }

    /// <summary>Which dimension runs along the rows; quantised weights are always <see cref="MoeMatrixOrder.OutputMajor"/>.</summary>
    public MoeMatrixOrder Order { get; init; }

    /// <summary>How gates and ups are stored; of a matrix without gates <see cref="MoeRowOrder.Interleaved"/>.</summary>
    public MoeRowOrder RowOrder { get; init; }

    /// <summary>Where <see cref="RowOrder"/> is <see cref="MoeRowOrder.Separate"/>: the ups, while this matrix has the gates. Null otherwise.</summary>
    public MoeExpertMatrix? Up { get; init; }

    /// <summary>FP8: outputs that share a scale, 128 or 32.</summary>
    public int ScaleRows { get; init; } = 128;

    /// <summary>FP8: inputs that share a scale, 128 or 32.</summary>
    public int ScaleColumns { get; init; } = 128;

    /// <summary>FP8: outputs of the first block of scales that were cut off, where a part of a layer begins inside of a block.</summary>
    public int ScaleRowOffset { get; private init; }

    /// <summary>FP8: inputs of the first block of scales that were cut off, where a part of a layer begins inside of a block.</summary>
    public int ScaleColumnOffset { get; private init; }

    /// <summary>Bytes that its tensors take in the checkpoint.</summary>
    public long ByteCount =>
        Values.ByteCount + (Scales?.ByteCount ?? 0) + (GlobalScales?.ByteCount ?? 0) + (Bias?.ByteCount ?? 0) + (Up?.ByteCount ?? 0);

    /// <summary>The experts of a range.</summary>
    internal MoeExpertMatrix SliceExperts(int first, int count) => this with
    {
        Values = Values.Slice(first, count, 0, Values.Rows, 0, Values.Columns),
        Scales = Scales?.Slice(first, count, 0, Scales.Rows, 0, Scales.Columns),
        GlobalScales = GlobalScales?.Slice(0, 1, 0, 1, first, count),
        Bias = Bias?.Slice(0, 1, first, count, 0, Bias.Columns),
        Up = Up?.SliceExperts(first, count),
    };

    /// <summary>The gates and ups of a range of neurons.</summary>
    internal MoeExpertMatrix SliceNeurons(MoeWeightFormat format, bool isGated, int intermediateSize, int first, int count)
    {
        switch (RowOrder)
        {
            case MoeRowOrder.Separate:
                return SliceOutputs(format, first, count) with { Up = Up!.SliceOutputs(format, first, count) };
            case MoeRowOrder.GateThenUp:
                return SliceOutputs(format, first, count) with
                {
                    RowOrder = MoeRowOrder.Separate,
                    Up = SliceOutputs(format, intermediateSize + first, count) with { RowOrder = MoeRowOrder.Interleaved },
                };
            default:
                int rows = isGated ? 2 : 1;
                return SliceOutputs(format, rows * first, rows * count);
        }
    }

    /// <summary>The inputs of a range, which begins and ends between blocks of 32. The bias goes with the range that begins at 0.</summary>
    internal MoeExpertMatrix SliceInputs(MoeWeightFormat format, int first, int count, bool keepsBias)
    {
        MoeStoredTensor? bias = keepsBias ? Bias : null;
        if (Order == MoeMatrixOrder.InputMajor)
        {
            return this with { Values = Values.Slice(0, Values.Planes, first, count, 0, Values.Columns), Bias = bias };
        }

        int perValue = format is MoeWeightFormat.Mxfp4 or MoeWeightFormat.Nvfp4 ? 2 : 1;
        MoeStoredTensor values = Values.Slice(0, Values.Planes, 0, Values.Rows, first / perValue, count / perValue);
        (int firstBlock, int blocks, int offset) = Blocks(first + ScaleColumnOffset, count, InputsOfScale(format));
        return this with
        {
            Values = values,
            Scales = Scales?.Slice(0, Scales.Planes, 0, Scales.Rows, firstBlock, blocks),
            Bias = bias,
            ScaleColumnOffset = offset,
        };
    }

    /// <summary>How many inputs share a scale.</summary>
    internal int InputsOfScale(MoeWeightFormat format) => format switch
    {
        MoeWeightFormat.Mxfp4 => MoeExpertReader.Mxfp4Block,
        MoeWeightFormat.Nvfp4 => MoeExpertReader.Nvfp4Block,
        _ => ScaleColumns,
    };

    /// <summary>How many outputs share a scale.</summary>
    internal int OutputsOfScale(MoeWeightFormat format) => format == MoeWeightFormat.Fp8Block ? ScaleRows : 1;

    private MoeExpertMatrix SliceOutputs(MoeWeightFormat format, int first, int count)
    {
        MoeStoredTensor? bias = Bias?.Slice(0, 1, 0, Bias.Rows, first, count);
        if (Order == MoeMatrixOrder.InputMajor)
        {
            return this with { Values = Values.Slice(0, Values.Planes, 0, Values.Rows, first, count), Bias = bias };
        }

        (int firstBlock, int blocks, int offset) = Blocks(first + ScaleRowOffset, count, OutputsOfScale(format));
        return this with
        {
            Values = Values.Slice(0, Values.Planes, first, count, 0, Values.Columns),
            Scales = Scales?.Slice(0, Scales.Planes, firstBlock, blocks, 0, Scales.Columns),
            Bias = bias,
            ScaleRowOffset = offset,
        };
    }

    private static (int First, int Count, int Offset) Blocks(int first, int count, int size) =>
        (first / size, ((first + count - 1) / size) - (first / size) + 1, first % size);
}
