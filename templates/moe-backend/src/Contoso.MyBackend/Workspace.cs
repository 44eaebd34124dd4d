using Moe.Plugins;

namespace Contoso.MyBackend;

/// <summary>What one stream's forwards need, allocated once: a forward itself allocates nothing.</summary>
internal sealed class Workspace(MoeLayerConfig config) : IMoeWorkspace
{
    public float[] X { get; } = new float[config.Shape.HiddenSize];

    public float[] Act { get; } = new float[config.Shape.IntermediateSize];

    public float[] Sums { get; } = new float[config.Shape.HiddenSize];

    public float[] Logits { get; } = new float[config.Shape.ExpertCount];

    public int[] Ids { get; } = new int[config.Shape.TopK];

    public float[] TopKWeights { get; } = new float[config.Shape.TopK];

    public long ByteCount => sizeof(float) * ((long)X.Length + Act.Length + Sums.Length + Logits.Length + Ids.Length + TopKWeights.Length);

    public void Dispose()
    {
        // Arrays are the collector's.
    }
}
