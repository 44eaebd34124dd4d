namespace Moe.Plugins.GptOss;

/// <summary>A matrix [outputs, inputs] in BF16 and its bias [1, outputs], if it has one.</summary>
internal sealed record LinearTensors
{
    public required MoeStoredTensor Weight { get; init; }

    public MoeStoredTensor? Bias { get; init; }

    /// <summary>Some of the outputs.</summary>
    public LinearTensors Rows(int first, int count) => new()
    {
        Weight = Weight.Slice(0, 1, first, count, 0, Weight.Columns),
        Bias = Bias?.Slice(0, 1, 0, 1, first, count),
    };
}
