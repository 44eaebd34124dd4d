namespace Moe.Plugins.GptOss;

/// <summary>
/// What computes all of a model but its expert layers, which it feeds: embedding, attention, norms, head. It owns weights and buffers, not the layers.
/// One forward at a time.
/// </summary>
internal interface IModelEngine : IDisposable
{
    /// <summary>Where it computes: a device for each rank that shares its work.</summary>
    IReadOnlyList<MoeDevice> Devices { get; }

    /// <summary>Threads of the processor that it computes with.</summary>
    int ThreadCount { get; }

    /// <summary>Bytes of its weights as they lie in memory.</summary>
    long WeightByteCount { get; }

    /// <summary>Makes room for the keys and values of a text, empty.</summary>
    IKeyValueCache CreateCache();

    /// <summary>Runs tokens, whose places in the caches are reserved.</summary>
    /// <param name="tokens">At most as many as a chunk has; those of one text are neighbours, in their order.</param>
    /// <param name="results">Takes what is asked for.</param>
    /// <param name="cancellationToken">Ends it between two layers.</param>
    void Run(IReadOnlyList<BatchToken> tokens, ForwardResults results, CancellationToken cancellationToken);

    /// <summary>To be called when expert layers were made again: what was recorded of the old ones is forgotten.</summary>
    void ForgetExperts();
}
