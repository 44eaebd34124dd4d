namespace Moe.Plugins.GptOss;

/// <summary>Bytes of a layer's experts as the checkpoint has them.</summary>
internal static class ExpertBytes
{
    public static long Of(MoeLayerShape shape)
    {
        long values = 3L * shape.ExpertCount * shape.HiddenSize * shape.IntermediateSize;
        return shape.WeightFormat == MoeWeightFormat.Mxfp4 ? values / 32 * 17 : values * 2;
    }
}
