namespace Moe.Plugins.GptOss;

/// <summary>A matrix [outputs, inputs] in BF16 and its bias [outputs], which may be empty.</summary>
internal sealed record LinearTensors
{
    public required MoeTensorView Weight { get; init; }

    public MoeTensorView Bias { get; init; }

    /// <summary>Some of the outputs.</summary>
    public LinearTensors Rows(int first, int count) => new()
    {
        Weight = new MoeTensorView(Weight.RowAddress(first), Weight.Device, Weight.ElementType, count, Weight.Columns, Weight.RowStride),
        Bias = new MoeTensorView(Bias.Address + (first * Bias.ElementType.ByteSize()), Bias.Device, Bias.ElementType, 1, count),
    };
}
