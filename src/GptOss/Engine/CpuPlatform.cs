using Moe.Plugins.Checkpoints;
using Moe.Plugins.Cpu;

namespace Moe.Plugins.GptOss;

/// <summary>The processor.</summary>
internal sealed class CpuPlatform : IModelPlatform
{
    private CpuPlatform()
    {
    }

    public static CpuPlatform Instance { get; } = new();

    public IReadOnlyList<MoeDevice> Devices { get; } = [MoeDevice.Cpu];

    public bool IsCut => false;

    public MoeLayerRequest Place(IMoeHost host, MoeLayerRequest request) => request;

    public IDisposable? Begin() => null;

    public void Check(IMoeHost host, GptOssConfig config, GptOssOptions options, RankPlan plan, MoeLayerRequest[] requests, Checkpoint checkpoint)
    {
        if (options.ChecksMemory)
        {
            MemoryCheck.Run(host, config, options, requests, checkpoint);
        }
    }

    public int LeastGroupRows(GptOssConfig config, RankPlan plan) => 0;

    public IModelEngine Load(
        ModelTensors tensors,
        GptOssConfig config,
        IReadOnlyList<ExpertLayer> experts,
        ModelRanks ranks,
        GptOssOptions options,
        LoadProgress progress,
        CancellationToken cancellationToken)
    {
        var team = new CpuTeam(options.Threads == 0 ? Environment.ProcessorCount : options.Threads);
        ModelWeights? weights = null;
        try
        {
            weights = new ModelWeights(tensors, config, team);
            weights.Load(team.ThreadCount, progress.Add, cancellationToken);
            return new CpuEngine(config, weights, experts, options, team);
        }
        catch
        {
            weights?.Dispose();
            team.Dispose();
            throw;
        }
    }
}
