namespace Moe.Plugins.Cli;

/// <summary>How one backend pads, in one weight format.</summary>
internal sealed record BackendPadding
{
    /// <summary>The layer, in that format.</summary>
    public required MoeLayerShape Shape { get; init; }

    public required int HiddenSize { get; init; }

    public required int IntermediateSize { get; init; }

    /// <summary>What the smallest hidden size of the format is padded to; null where the backend refuses so small a layer.</summary>
    public required int? HiddenAlignment { get; init; }

    /// <summary>The same of the intermediate size.</summary>
    public required int? IntermediateAlignment { get; init; }

    public required bool SupportsSkipForwardPadding { get; init; }

    public required bool HasUnpaddedOutput { get; init; }

    public string Hidden => $"hidden {Describe(Shape.HiddenSize, HiddenSize, HiddenAlignment)}";

    public string Intermediate => $"intermediate {Describe(Shape.IntermediateSize, IntermediateSize, IntermediateAlignment)}";

    public string Forward
    {
        get
        {
            string input = SupportsSkipForwardPadding ? "takes unpadded input" : "wants padded input";
            string output = HasUnpaddedOutput ? "writes unpadded output" : "writes padded output";
            return $"{input}, {output}";
        }
    }

    private string Describe(int size, int padded, int? alignment)
    {
        int natural = Shape.WeightFormat == MoeWeightFormat.Mxfp4 ? 32 : 1;
        string unit = alignment is int multiple && multiple > natural ? $" (in multiples of {multiple})" : "";
        return HumanText.Padded(size, padded) + unit;
    }
}
