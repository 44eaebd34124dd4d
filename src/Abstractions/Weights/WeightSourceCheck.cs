namespace Moe.Plugins;

/// <summary>Holds a checkpoint's tensors against a layer's shape.</summary>
internal static class WeightSourceCheck
{
    public static void Matrix(
        MoeExpertMatrix matrix, string name, MoeWeightFormat format, int experts, int outputs, int inputs, bool hasBias, bool isGated)
    {
        Check(Enum.IsDefined(matrix.Order), $"{name} has the order {(int)matrix.Order}, which is not one of this contract's");
        Check(Enum.IsDefined(matrix.RowOrder), $"{name} has the row order {(int)matrix.RowOrder}, which is not one of this contract's");
        bool isSeparate = matrix.RowOrder == MoeRowOrder.Separate;
        Check(isGated || matrix.RowOrder == MoeRowOrder.Interleaved, $"{name} has no gates, and its row order is {matrix.RowOrder}");
        Check(isSeparate == matrix.Up is not null, isSeparate ? $"{name} has no tensors for its ups" : $"{name} has ups of its own, and its row order is {matrix.RowOrder}");
        if (isSeparate)
        {
            Stored(matrix, $"{name} (gates)", format, experts, outputs / 2, inputs, hasBias);
            Stored(matrix.Up!, $"{name} (ups)", format, experts, outputs / 2, inputs, hasBias);
        }
        else
        {
            Stored(matrix, name, format, experts, outputs, inputs, hasBias);
        }
    }

    public static void Shared(MoeLayerShape shape, MoeSharedWeights? weights)
    {
        Check(weights is null == shape.Shared is null, weights is null ? "shared experts are missing" : "shared experts are there, though the shape has none");
        if (weights is not null && shape.Shared is { } shared)
        {
            ArgumentNullException.ThrowIfNull(weights.GateUp, "Shared.GateUp");
            ArgumentNullException.ThrowIfNull(weights.Down, "Shared.Down");
            Matrix(weights.GateUp, "shared gate_up", shared.WeightFormat, 1, shared.GateUpSize, shape.HiddenSize, hasBias: false, shared.Activation.IsGated);
            Matrix(weights.Down, "shared down", shared.WeightFormat, 1, shape.HiddenSize, shared.IntermediateSize, hasBias: false, isGated: false);
            Optional(weights.Gate, "shared expert gate", shared.HasGate, 1, shape.HiddenSize);
        }
    }

    public static void Latent(MoeLayerShape shape, MoeLatentWeights? weights)
    {
        Check(weights is null == shape.Latent is null, weights is null ? "latent projections are missing" : "latent projections are there, though the shape has none");
        if (weights is not null && shape.Latent is { } latent)
        {
            ArgumentNullException.ThrowIfNull(weights.Down, "Latent.Down");
            ArgumentNullException.ThrowIfNull(weights.Up, "Latent.Up");
            Matrix(weights.Down, "latent down", latent.WeightFormat, 1, latent.Width, shape.HiddenSize, hasBias: false, isGated: false);
            Matrix(weights.Up, "latent up", latent.WeightFormat, 1, shape.HiddenSize, latent.Width, hasBias: false, isGated: false);
            Optional(weights.Norm, "latent norm", latent.NormEpsilon is not null, 1, latent.Width);
        }
    }

    public static void TokenTable(MoeLayerShape shape, MoeStoredTensor? table)
    {
        bool isExpected = shape.Router.Choice == MoeRouterChoice.TokenTable;
        Check(table is not null == isExpected, isExpected ? "the table of tokens is missing" : "a table of tokens is there, though the router chooses by score");
        if (table is not null)
        {
            Check(table.ElementType is MoeElementType.Int32 or MoeElementType.Int64, $"the table of tokens is {table.ElementType}; Int32 or Int64 is expected");
            Check(
                table.Planes == 1 && table.Rows >= 1 && table.Columns == shape.TopK,
                $"the table of tokens is {table}; [vocabulary, {shape.TopK}] is expected");
        }
    }

    public static void Optional(MoeStoredTensor? tensor, string name, bool isExpected, int rows, int columns)
    {
        Check(tensor is not null == isExpected, isExpected ? $"{name} is missing" : $"{name} is there, though the shape says that there is none");
        if (tensor is not null)
        {
            Floats(tensor, name, rows, columns);
        }
    }

    public static void Floats(MoeStoredTensor tensor, string name, int rows, int columns)
    {
        Size(tensor, name, 1, rows, columns);
        Type(tensor, name, MoeElementType.BFloat16, MoeElementType.Float32, MoeElementType.Float16);
    }

    private static void Stored(MoeExpertMatrix matrix, string name, MoeWeightFormat format, int experts, int outputs, int inputs, bool hasBias)
    {
        ArgumentNullException.ThrowIfNull(matrix.Values, $"{name}.{nameof(matrix.Values)}");
        bool isPlain = format is MoeWeightFormat.BFloat16 or MoeWeightFormat.Float16 or MoeWeightFormat.Float32;
        Check(isPlain || matrix.Order == MoeMatrixOrder.OutputMajor, $"{name} is in input-major order; {format} is output-major");
        (int rows, int columns) = matrix.Order == MoeMatrixOrder.OutputMajor ? (outputs, inputs) : (inputs, outputs);
        Size(matrix.Values, name, experts, rows, format is MoeWeightFormat.Mxfp4 or MoeWeightFormat.Nvfp4 ? columns / 2 : columns);
        switch (format)
        {
            case MoeWeightFormat.Mxfp4:
                Type(matrix.Values, name, MoeElementType.UInt8, MoeElementType.Int8);
                Scales(matrix, name, experts, outputs, inputs / MoeExpertReader.Mxfp4Block, MoeElementType.UInt8, MoeElementType.Float8E8M0);
                break;
            case MoeWeightFormat.Nvfp4:
                Type(matrix.Values, name, MoeElementType.UInt8, MoeElementType.Int8);
                Scales(matrix, name, experts, outputs, inputs / MoeExpertReader.Nvfp4Block, MoeElementType.Float8E4M3);
                Check(matrix.GlobalScales is not null, $"{name} has no global scales");
                Size(matrix.GlobalScales!, $"{name} global scales", 1, 1, experts);
                Type(matrix.GlobalScales!, $"{name} global scales", MoeElementType.Float32);
                break;
            case MoeWeightFormat.Fp8Block:
                Type(matrix.Values, name, MoeElementType.Float8E4M3);
                Check(matrix.ScaleRows >= 1 && matrix.ScaleColumns >= 1, $"{name} has {nameof(matrix.ScaleRows)} {matrix.ScaleRows} and {nameof(matrix.ScaleColumns)} {matrix.ScaleColumns}; at least 1 is expected of both");
                int rowBlocks = (matrix.ScaleRowOffset + outputs + matrix.ScaleRows - 1) / matrix.ScaleRows;
                int columnBlocks = (matrix.ScaleColumnOffset + inputs + matrix.ScaleColumns - 1) / matrix.ScaleColumns;
                Scales(
                    matrix, name, experts, rowBlocks, columnBlocks, MoeElementType.Float32, MoeElementType.BFloat16, MoeElementType.Float8E8M0, MoeElementType.UInt8);
                break;
            default:
                Type(matrix.Values, name, Element(format));
                Check(matrix.Scales is null, $"{name} has scales; {format} has none");
                break;
        }

        Check(format == MoeWeightFormat.Nvfp4 || matrix.GlobalScales is null, $"{name} has global scales; {format} has none");
        Optional(matrix.Bias, $"{name} bias", hasBias, experts, outputs);
    }

    private static MoeElementType Element(MoeWeightFormat format) => format switch
    {
        MoeWeightFormat.Float16 => MoeElementType.Float16,
        MoeWeightFormat.Float32 => MoeElementType.Float32,
        _ => MoeElementType.BFloat16,
    };

    private static void Scales(MoeExpertMatrix matrix, string name, int planes, int rows, int columns, params ReadOnlySpan<MoeElementType> types)
    {
        Check(matrix.Scales is not null, $"{name} has no scales");
        Size(matrix.Scales!, $"{name} scales", planes, rows, columns);
        Type(matrix.Scales!, $"{name} scales", types);
    }

    private static void Size(MoeStoredTensor tensor, string name, int planes, int rows, int columns) => Check(
        tensor.Planes == planes && tensor.Rows == rows && tensor.Columns == columns,
        $"{name} is [{tensor.Planes}, {tensor.Rows}, {tensor.Columns}]; [{planes}, {rows}, {columns}] is expected");

    private static void Type(MoeStoredTensor tensor, string name, params ReadOnlySpan<MoeElementType> types) => Check(
        types.Contains(tensor.ElementType),
        $"{name} is {tensor.ElementType}; {string.Join(" or ", types.ToArray())} is expected");

    private static void Check(bool condition, string message)
    {
        if (!condition)
        {
            throw new MoeException(MoeReason.Checkpoint, $"The weights do not fit the layer: {message}.");
        }
    }
}
