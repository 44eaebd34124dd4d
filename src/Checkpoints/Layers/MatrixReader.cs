namespace Moe.Plugins.Checkpoints;

/// <summary>
/// Finds one matrix by its name and tells how it is stored, from the names and types of its tensors. Bytes of codes and scales are handed on
/// as they are, whatever type they are declared as.
/// </summary>
/// <param name="tensors">The checkpoint's.</param>
/// <param name="layer">The layer, for messages and for keeping count of what was read.</param>
/// <param name="scaleBlock">Outputs and inputs that share a scale in FP8, as the model states them; null where it does not.</param>
internal sealed class MatrixReader(CheckpointTensors tensors, LayerTensors layer, (int Rows, int Columns)? scaleBlock)
{
    private const string ReadFormats = "BF16, F16, F32, MXFP4, NVFP4 and FP8 with scales are read";

    /// <summary>Blocks of FP8 that are found in the wild, MXFP8's among them.</summary>
    private static readonly (int Rows, int Columns)[] UsualBlocks = [(128, 128), (32, 32), (1, 32), (1, 128), (64, 64)];

    /// <summary>Whether there is a matrix of that name, in whatever format.</summary>
    public bool Has(string name) => WeightNames.All.Any(names => tensors.TryGet(name + names.Values, out _, out _));

    /// <summary>Reads a matrix.</summary>
    /// <exception cref="MoeException">It is not there, or it is stored in a way that is not read.</exception>
    public StoredMatrix Read(string name)
    {
        foreach (WeightNames names in WeightNames.All)
        {
            if (layer.Find(name + names.Values) is SafetensorsTensor values)
            {
                StoredMatrix matrix = ReadValues(name, names, values);
                return layer.Find(name + names.Bias) is SafetensorsTensor bias ? matrix with { Bias = layer.Read(bias), BiasName = bias.Name } : matrix;
            }
        }

        string? other = layer.First(name);
        throw layer.Error(
            other is null ? $"tensor '{PlainText.Of(name)}.weight' is missing"
            : $"'{PlainText.Of(other)}' is {Describe(other)}, and no such format is read; {ReadFormats}");
    }

    private StoredMatrix ReadValues(string name, WeightNames names, SafetensorsTensor values)
    {
        MoeWeightFormat? plain = values.Type switch
        {
            SafetensorsType.BF16 => MoeWeightFormat.BFloat16,
            SafetensorsType.F16 => MoeWeightFormat.Float16,
            SafetensorsType.F32 => MoeWeightFormat.Float32,
            _ => null,
        };
        SafetensorsTensor? scales = names.Scales.Select(suffix => layer.Find(name + suffix)).FirstOrDefault(found => found is not null);
        if (plain is MoeWeightFormat format)
        {
            return scales is null
                ? new StoredMatrix { Name = name, Format = format, Values = layer.Read(values) }
                : throw layer.Error($"'{PlainText.Of(values.Name)}' is {values} with scales '{PlainText.Of(scales.Name)}'; {values.TypeName} has none");
        }

        if (layer.Find(name + ".weight_zero_point") is SafetensorsTensor zero)
        {
            throw layer.Error($"'{PlainText.Of(zero.Name)}' says that its codes are not symmetric, and no such format is read; {ReadFormats}");
        }

        bool isFp4 = values.Type is SafetensorsType.U8 or SafetensorsType.I8 or SafetensorsType.U32;
        if (!isFp4 && values.Type != SafetensorsType.F8E4M3)
        {
            string what = values.Type == SafetensorsType.I32 ? $"{values}, codes of four or eight bits as whole numbers (INT4, INT8)" : values.ToString();
            throw layer.Error($"'{PlainText.Of(values.Name)}' is {what}, and no such format is read; {ReadFormats}");
        }

        if (scales is null)
        {
            throw layer.Error($"'{PlainText.Of(values.Name)}' is {values}, and its scales '{PlainText.Of(name + names.Scales[0])}' are missing");
        }

        var matrix = new StoredMatrix { Name = name, Format = MoeWeightFormat.Fp8Block, Values = layer.Read(values), Scales = layer.Read(scales) };
        return isFp4 ? ReadFp4(matrix, names, values, scales) : ReadFp8(matrix, values, scales);
    }

    private StoredMatrix ReadFp4(StoredMatrix matrix, WeightNames names, SafetensorsTensor values, SafetensorsTensor scales)
    {
        bool isMxfp4 = scales.Type is SafetensorsType.U8 or SafetensorsType.F8E8M0;
        matrix = matrix with { Format = isMxfp4 ? MoeWeightFormat.Mxfp4 : MoeWeightFormat.Nvfp4 };
        int block = isMxfp4 ? MoeExpertReader.Mxfp4Block : MoeExpertReader.Nvfp4Block;
        MoeStoredTensor stored = matrix.Scales!;
        bool fits = stored.Planes == matrix.Planes && stored.Rows == matrix.Rows && (long)stored.Columns * block == matrix.Columns;
        if (!fits || !(isMxfp4 || scales.Type == SafetensorsType.F8E4M3))
        {
            throw layer.Error(
                $"'{PlainText.Of(values.Name)}' is {values} with scales '{PlainText.Of(scales.Name)}' {scales}; for each row and block of 32 "
                + "inputs a scale of U8 or F8_E8M0 is expected (MXFP4), or of 16 inputs one of F8_E4M3 (NVFP4)");
        }

        if (isMxfp4)
        {
            return matrix;
        }

        foreach ((string suffix, bool divides) in names.GlobalScales)
        {
            if (layer.Find(matrix.Name + suffix) is SafetensorsTensor found)
            {
                GlobalScales? globals = found.Type == SafetensorsType.F32 ? GlobalScales.From(layer.Read(found), matrix.Planes, divides) : null;
                return matrix with
                {
                    GlobalScales = globals ?? throw layer.Error($"'{PlainText.Of(found.Name)}' is {found}; F32, one for each matrix, is expected"),
                };
            }
        }

        throw layer.Error($"'{PlainText.Of(values.Name)}' is NVFP4, and its global scale '{PlainText.Of(matrix.Name + names.GlobalScales.FirstOrDefault().Name)}' is missing");
    }

    private StoredMatrix ReadFp8(StoredMatrix matrix, SafetensorsTensor values, SafetensorsTensor scales)
    {
        MoeStoredTensor stored = matrix.Scales!;
        bool isScale = scales.Type is SafetensorsType.F32 or SafetensorsType.BF16 or SafetensorsType.F8E8M0 or SafetensorsType.U8;
        if (isScale && stored.Planes == matrix.Planes)
        {
            // One for the whole matrix, or one for each row, are blocks too.
            (int Rows, int Columns)[] candidates = stored.Rows * stored.Columns == 1 ? [(matrix.Rows, matrix.Columns)]
                : stored.Columns == 1 && stored.Rows == matrix.Rows ? [(1, matrix.Columns)]
                : scaleBlock is { } stated ? [stated, (1, 32)] : UsualBlocks;
            foreach ((int rows, int columns) in candidates)
            {
                if (stored.Rows == Blocks(matrix.Rows, rows) && stored.Columns == Blocks(matrix.Columns, columns))
                {
                    return matrix with { ScaleRows = rows, ScaleColumns = columns };
                }
            }
        }

        string expected = scaleBlock is { } block ? $"{block.Rows} by {block.Columns}, as weight_block_size says," : "128 by 128 or 32 by 32 values";
        throw layer.Error(
            $"'{PlainText.Of(values.Name)}' is {values} with scales '{PlainText.Of(scales.Name)}' {scales}; a scale of F32, BF16, F8_E8M0 or U8 "
            + $"for each block of {expected} is expected");
    }

    private static int Blocks(int size, int block) => (int)(((long)size + block - 1) / block);

    private string Describe(string tensor) => tensors.TryGet(tensor, out _, out SafetensorsTensor? found) ? found.ToString() : "missing";
}
