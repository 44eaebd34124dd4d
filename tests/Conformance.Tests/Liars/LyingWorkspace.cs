namespace Moe.Plugins.Conformance.Tests.Liars;

/// <summary>The scratch of one stream's forwards.</summary>
internal sealed class LyingWorkspace(LyingMethod method, LyingWeights weights, MoeLayerConfig config) : IMoeWorkspace
{
    public int Forwards { get; set; }

    public float[] X { get; } = method.SharedScratch ?? new float[config.Shape.HiddenSize];

    public float[] Act { get; } = new float[config.Shape.IntermediateSize];

    public float[] Sums { get; } = new float[config.Shape.HiddenSize];

    public float[] Logits { get; } = new float[config.Shape.ExpertCount];

    public int[] Ids { get; } = new int[config.Shape.TopK];

    public float[] Weights { get; } = new float[config.Shape.TopK];

    public int[] Load { get; } = new int[config.Shape.ExpertCount];

    public long ByteCount => (X.Length + Act.Length + Sums.Length + Logits.Length) * sizeof(float);

    public bool CanRoute => true;

    public void Route(MoeRouteArguments arguments) => method.RouteAlone(weights, this, arguments);

    public void Forward(MoeForwardArguments arguments) => method.Forward(weights, this, arguments);

    public void Dispose()
    {
        // Arrays are the collector's.
    }
}
