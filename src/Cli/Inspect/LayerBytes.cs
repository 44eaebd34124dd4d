namespace Moe.Plugins.Cli;

/// <summary>Bytes of a layer in its own format, at its own sizes or padded ones.</summary>
internal static class LayerBytes
{
    /// <summary>Biases and router as checkpoints keep them.</summary>
    private const long BFloat16Bytes = 2;

    /// <summary>
    /// Both matrices of one expert, without biases: MXFP4 with 17 bytes per block of 32 (OCP Microscaling Formats v1.0, §5.1), NVFP4 with 9
    /// bytes per block of 16, FP8 with a float32 per block of 128 by 128.
    /// </summary>
    public static long OfExpert(MoeWeightFormat format, int hiddenSize, int intermediateSize)
    {
        long weights = 3L * hiddenSize * intermediateSize;
        return format switch
        {
            MoeWeightFormat.Mxfp4 => weights / 32 * 17,
            MoeWeightFormat.Nvfp4 => weights / 16 * 9,
            MoeWeightFormat.Fp8Block => weights + (weights / (128 * 128) * sizeof(float)),
            MoeWeightFormat.Float32 => weights * sizeof(float),
            _ => weights * BFloat16Bytes,
        };
    }

    /// <summary>About the bytes of a layer, of any sizes.</summary>
    public static double Estimate(MoeLayerShape shape) =>
        (double)shape.ExpertCount * ((3.0 * shape.IntermediateSize * shape.HiddenSize) + shape.HiddenSize) * BFloat16Bytes;

    /// <summary>
    /// All experts' matrices, their biases, and the router, which is never padded.
    /// </summary>
    public static long Count(MoeLayerShape shape, int hiddenSize, int intermediateSize)
    {
        long weightBytes = OfExpert(shape.WeightFormat, hiddenSize, intermediateSize);
        long biasBytes = shape.HasExpertBias ? ((2L * intermediateSize) + hiddenSize) * BFloat16Bytes : 0;
        long routerBytes = (shape.HiddenSize + (shape.Router.HasLogitBias ? 1 : 0)) * BFloat16Bytes;
        return shape.ExpertCount * (weightBytes + biasBytes + routerBytes);
    }
}
