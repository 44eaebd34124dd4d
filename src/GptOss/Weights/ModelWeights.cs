using Moe.Plugins.Cpu;

namespace Moe.Plugins.GptOss;

/// <summary>All that is computed with on the processor. The embedding stays in the checkpoint: a token reads one row of it.</summary>
internal sealed class ModelWeights : IDisposable
{
    public ModelWeights(ModelTensors tensors, GptOssConfig config, CpuTeam team)
    {
        Embedding = tensors.Embedding;
        FinalNorm = tensors.FinalNorm.ToSingles();
        Head = new Linear(team, new LinearTensors { Weight = tensors.Head });
        Layers = [.. tensors.Layers.Select((layer, i) => new LayerWeights(layer, config.IsSliding[i], team))];
    }

    public MoeStoredTensor Embedding { get; }

    public float[] FinalNorm { get; }

    public Linear Head { get; }

    public IReadOnlyList<LayerWeights> Layers { get; }

    public long ByteCount => Head.ByteCount + Layers.Sum(layer => layer.ByteCount);

    /// <summary>Copies the matrices into the kernels' layout.</summary>
    /// <param name="threads">Threads to use.</param>
    /// <param name="loaded">Told how many bytes one more matrix has.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    public void Load(int threads, Action<long> loaded, CancellationToken cancellationToken)
    {
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellationToken };
        foreach (Linear matrix in (IEnumerable<Linear>)[.. Layers.SelectMany(layer => (Linear[])[layer.QueryKeyValue, layer.Output]), Head])
        {
            Parallel.For(0, matrix.Pieces, parallel, matrix.Load);
            loaded(matrix.ByteCount);
        }
    }

    public void Dispose()
    {
        Head.Dispose();
        foreach (LayerWeights layer in Layers)
        {
            layer.Dispose();
        }
    }
}
