namespace Moe.Plugins.Cli;

/// <summary>Bytes of a layer in its own format, at its own sizes or padded ones.</summary>
internal static class LayerBytes
{
    /// <summary>Biases and router as checkpoints keep them.</summary>
    private const long BFloat16Bytes = 2;

    /// <summary>
    /// Both expert matrices, MXFP4 with 17 bytes a block of 32 (OCP Microscaling Formats v1.0, §5.1), their biases, and the router, which
    /// is never padded.
    /// </summary>
    public static long Count(MoeLayerShape shape, int hiddenSize, int intermediateSize)
    {
        long weights = 3L * hiddenSize * intermediateSize;
        long weightBytes = shape.WeightFormat == MoeWeightFormat.Mxfp4 ? weights / 32 * 17 : weights * BFloat16Bytes;
        long biasBytes = shape.HasExpertBias ? ((2L * intermediateSize) + hiddenSize) * BFloat16Bytes : 0;
        long routerBytes = (shape.HiddenSize + (shape.HasRouterBias ? 1 : 0)) * BFloat16Bytes;
        return shape.ExpertCount * (weightBytes + biasBytes + routerBytes);
    }
}
