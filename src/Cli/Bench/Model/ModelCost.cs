using Moe.Plugins.GptOss;

namespace Moe.Plugins.Cli;

/// <summary>
/// What a step of a whole model reads and computes at least: every weight that it needs once, the keys and values that it looks at, a
/// multiplication and an addition for each weight and token.
/// </summary>
internal sealed class ModelCost(GptOssConfig config, MoeLayerShape experts, MoeElementType cacheType)
{
    private const int BrainBytes = 2;

    private long AttentionWeights => (long)config.HiddenSize * config.HeadSize * 2 * (config.HeadCount + config.KeyValueHeadCount);

    private long HeadWeights => (long)config.VocabularySize * config.HiddenSize;

    private long ExpertWeights => 3L * config.HiddenSize * config.IntermediateSize;

    private double ExpertBytes => experts.WeightFormat == MoeWeightFormat.Mxfp4 ? ExpertWeights / 32.0 * 17 : ExpertWeights * (double)BrainBytes;

    /// <summary>Experts of a layer that so many tokens go to, if each is as likely as the others.</summary>
    public double DistinctExperts(int tokens) =>
        tokens == 1 ? config.TopK : config.ExpertCount * (1 - Math.Pow(1 - ((double)config.TopK / config.ExpertCount), tokens));

    /// <summary>Bytes of a forward: weights, and the cache of sequences whose tokens come after others.</summary>
    /// <param name="sequences">Sequences of the batch.</param>
    /// <param name="context">Positions that each has before.</param>
    /// <param name="tokens">Tokens that each brings.</param>
    public double Bytes(int sequences, int context, int tokens)
    {
        double weights = (config.LayerCount * ((BrainBytes * AttentionWeights) + (DistinctExperts(sequences * tokens) * ExpertBytes)))
            + (BrainBytes * HeadWeights);
        double position = 2.0 * config.KeyValueHeadCount * config.HeadSize * cacheType.ByteSize();
        double positions = config.IsSliding.Sum(slides => slides ? Math.Min(context + tokens, config.SlidingWindow) : context + tokens);
        return weights + (sequences * position * positions);
    }

    /// <summary>Operations of a forward. Of each sequence's tokens the last alone asks for logits.</summary>
    public double Operations(int sequences, int context, int tokens)
    {
        double layer = AttentionWeights + ((double)config.TopK * ExpertWeights) + ((double)config.ExpertCount * config.HiddenSize);
        double seen = config.IsSliding.Sum(slides => Enumerable.Range(context + 1, tokens).Sum(position => (double)(slides ? Math.Min(position, config.SlidingWindow) : position)));
        double attention = 2.0 * config.HeadCount * config.HeadSize * seen;
        return 2.0 * sequences * ((tokens * config.LayerCount * layer) + attention + HeadWeights);
    }
}
