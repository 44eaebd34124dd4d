namespace Moe.Plugins.Cli;

/// <summary>Bytes of a layer in its own format, at its own sizes or padded ones.</summary>
internal static class LayerBytes
{
    /// <summary>Biases and router as checkpoints keep them.</summary>
    private const long BFloat16Bytes = 2;

    /// <summary>Both matrices of one expert, without biases.</summary>
    public static long OfExpert(MoeLayerShape shape, int hiddenSize, int intermediateSize) =>
        Of(shape.WeightFormat, (shape.Activation.IsGated ? 3L : 2L) * hiddenSize * intermediateSize);

    /// <summary>What every token reads: the router, shared experts and latent projections.</summary>
    public static long AroundExperts(MoeLayerShape shape)
    {
        long router = (long)shape.ExpertCount * shape.HiddenSize * BFloat16Bytes;
        long shared = shape.Shared is { } own ? Of(own.WeightFormat, (own.Activation.IsGated ? 3L : 2L) * shape.HiddenSize * own.IntermediateSize) : 0;
        long latent = shape.Latent is { } around ? Of(around.WeightFormat, 2L * shape.HiddenSize * around.Width) : 0;
        return router + shared + latent;
    }

    /// <summary>About the bytes of a layer, of any sizes.</summary>
    public static double Estimate(MoeLayerShape shape) =>
        (double)shape.ExpertCount * ((3.0 * shape.IntermediateSize * shape.HiddenSize) + shape.HiddenSize) * BFloat16Bytes;

    /// <summary>
    /// All experts' matrices, their biases, and what is around them, which is never padded.
    /// </summary>
    public static long Count(MoeLayerShape shape, int hiddenSize, int intermediateSize)
    {
        int width = shape.Latent is null ? hiddenSize : shape.ExpertHiddenSize;
        long weightBytes = OfExpert(shape, width, intermediateSize);
        long biasBytes = shape.HasExpertBias ? (((shape.Activation.IsGated ? 2L : 1L) * intermediateSize) + width) * BFloat16Bytes : 0;
        long logitBias = shape.Router.HasLogitBias ? BFloat16Bytes : 0;
        return (shape.ExpertCount * (weightBytes + biasBytes + logitBias)) + AroundExperts(shape);
    }

    /// <summary>
    /// MXFP4 with 17 bytes per block of 32 (OCP Microscaling Formats v1.0, §5.1), NVFP4 with 9 bytes per block of 16, FP8 with a float32 per block of
    /// 128 by 128.
    /// </summary>
    private static long Of(MoeWeightFormat format, long weights) => format switch
    {
        MoeWeightFormat.Mxfp4 => weights / 32 * 17,
        MoeWeightFormat.Nvfp4 => weights / 16 * 9,
        MoeWeightFormat.Fp8Block => weights + (weights / (128 * 128) * sizeof(float)),
        MoeWeightFormat.Float32 => weights * sizeof(float),
        _ => weights * BFloat16Bytes,
    };
}
