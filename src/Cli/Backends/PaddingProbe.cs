namespace Moe.Plugins.Cli;

/// <summary>What every backend makes of a layer's sizes in one weight format.</summary>
/// <param name="Shape">The layer.</param>
/// <param name="Sizes">The backends' answers for it.</param>
/// <param name="Smallest">Their answers for the smallest layer of the format, which are the units that they pad to.</param>
internal sealed record PaddingProbe(MoeLayerShape Shape, MoeSelectionReport Sizes, MoeSelectionReport Smallest)
{
    /// <summary>Nothing smaller than a block is a layer of MXFP4.</summary>
    private const int BlockSize = MoeExpertReader.Mxfp4Block;

    /// <summary>Asks in the layer's own format first, then in the other, for the backends that are made for that.</summary>
    public static IEnumerable<PaddingProbe> ForEachFormat(MoeHost host, MoeLayerShape shape)
    {
        yield return Ask(host, shape);
        bool isMxfp4 = shape.WeightFormat == MoeWeightFormat.Mxfp4;
        if (isMxfp4 || (shape.HiddenSize % BlockSize == 0 && shape.IntermediateSize % BlockSize == 0))
        {
            yield return Ask(host, shape with { WeightFormat = isMxfp4 ? MoeWeightFormat.BFloat16 : MoeWeightFormat.Mxfp4 });
        }
    }

    /// <summary>The answers of one plugin; null where it has no sizes for this format.</summary>
    public BackendPadding? Of(string path)
    {
        MoeCandidate? sizes = Sizes.Candidates.FirstOrDefault(candidate => candidate.Path == path);
        MoeCandidate? smallest = Smallest.Candidates.FirstOrDefault(candidate => candidate.Path == path);
        return sizes is not { HiddenSize: int hidden, IntermediateSize: int intermediate }
            ? null
            : new BackendPadding
            {
                Shape = Shape,
                HiddenSize = hidden,
                IntermediateSize = intermediate,
                HiddenAlignment = smallest?.HiddenSize,
                IntermediateAlignment = smallest?.IntermediateSize,
                SupportsSkipForwardPadding = sizes.SupportsSkipForwardPadding == true,
                HasUnpaddedOutput = sizes.HasUnpaddedOutput == true,
            };
    }

    private static PaddingProbe Ask(MoeHost host, MoeLayerShape shape)
    {
        int smallest = shape.WeightFormat == MoeWeightFormat.Mxfp4 ? BlockSize : 1;
        MoeLayerShape small = shape with { HiddenSize = smallest, IntermediateSize = smallest };
        return new PaddingProbe(
            shape,
            host.Explain(new MoeLayerRequest { Shape = shape }),
            host.Explain(new MoeLayerRequest { Shape = small }));
    }
}
