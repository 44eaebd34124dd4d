using Moe.Plugins.Cpu;

namespace Moe.Plugins.GptOss;

/// <summary>What one layer computes with on the processor: all but its experts.</summary>
internal sealed class LayerWeights : IDisposable
{
    public LayerWeights(LayerTensors tensors, bool isSliding, CpuTeam team)
    {
        IsSliding = isSliding;
        AttentionNorm = tensors.AttentionNorm.ToSingles();
        ExpertNorm = tensors.ExpertNorm.ToSingles();
        Sinks = tensors.Sinks.ToSingles();
        QueryKeyValue = new Linear(team, tensors.QueryKeyValue);
        Output = new Linear(team, tensors.Output);
    }

    public bool IsSliding { get; }

    public float[] AttentionNorm { get; }

    public float[] ExpertNorm { get; }

    /// <summary>One logit a query head.</summary>
    public float[] Sinks { get; }

    public Linear QueryKeyValue { get; }

    public Linear Output { get; }

    public long ByteCount => QueryKeyValue.ByteCount + Output.ByteCount;

    public void Dispose()
    {
        QueryKeyValue.Dispose();
        Output.Dispose();
    }
}
