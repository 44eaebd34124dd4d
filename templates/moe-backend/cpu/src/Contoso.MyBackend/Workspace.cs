using Moe.Plugins;

namespace Contoso.MyBackend;

/// <summary>What one stream's forwards need, allocated once: a forward itself allocates nothing.</summary>
internal sealed class Workspace(Weights weights, MoeLayerShape shape) : IMoeWorkspace
{
    public float[] X { get; } = new float[shape.HiddenSize];

    public float[] Act { get; } = new float[shape.IntermediateSize];

    public float[] Sums { get; } = new float[shape.HiddenSize];

    public float[] Logits { get; } = new float[shape.ExpertCount];

    public int[] Ids { get; } = new int[shape.TopK];

    public float[] TopKWeights { get; } = new float[shape.TopK];

    public long ByteCount => sizeof(float) * ((long)X.Length + Act.Length + Sums.Length + Logits.Length + Ids.Length + TopKWeights.Length);

    public void Forward(MoeForwardArguments arguments) => Kernel.Run(weights, this, arguments);

    public void Dispose()
    {
        // Arrays are the collector's.
    }
}
