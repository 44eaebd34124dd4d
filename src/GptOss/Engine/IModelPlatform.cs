using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.GptOss;

/// <summary>Makes engines for a kind of device.</summary>
internal interface IModelPlatform
{
    /// <summary>Where its engines compute: the devices that were named, or the first one.</summary>
    IReadOnlyList<MoeDevice> Devices { get; }

    /// <summary>Whether ranks share the whole model; else they share only its expert layers.</summary>
    bool IsCut { get; }

    /// <summary>A layer of experts where it is best placed for this platform, unless the request or the host's configuration says otherwise.</summary>
    MoeLayerRequest Place(IMoeHost host, MoeLayerRequest request);

    /// <summary>Begins to open the devices that were named, which takes a while, and does not wait for that. It ignores a device that cannot be opened: <see cref="Check"/> says why.</summary>
    /// <returns>Keeps them open until it is disposed, once the model holds them itself; null where there is nothing to open.</returns>
    IDisposable? Begin();

    /// <summary>Says before anything is read whether a model can run here, and whether it will fit where <see cref="GptOssOptions.ChecksMemory"/> says so.</summary>
    /// <exception cref="MoeException">It will not; the message says what it needs and what there is.</exception>
    void Check(IMoeHost host, GptOssConfig config, GptOssOptions options, RankPlan plan, MoeLayerRequest[] requests, Checkpoint checkpoint);

    /// <summary>Rows that the ranks' group must have room for, however few tokens are computed at once.</summary>
    int LeastGroupRows(GptOssConfig config, RankPlan plan);

    /// <summary>Reads the weights. Where <see cref="IsCut"/>, the expert layers are loaded meanwhile: the engine may keep them, and must not ask them anything yet.</summary>
    /// <exception cref="MoeException">They cannot be read, or there is no memory for them.</exception>
    IModelEngine Load(
        ModelTensors tensors,
        GptOssConfig config,
        IReadOnlyList<ExpertLayer> experts,
        ModelRanks ranks,
        GptOssOptions options,
        LoadProgress progress,
        CancellationToken cancellationToken);
}
