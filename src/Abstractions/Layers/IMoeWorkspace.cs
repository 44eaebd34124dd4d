namespace Moe.Plugins;

/// <summary>
/// What forwards of one layer on one stream need besides the weights and the caller's buffers, made once for the config's most tokens. Two
/// forwards may not use it at once. Freed by Dispose, before the weights.
/// </summary>
public interface IMoeWorkspace : IDisposable
{
    /// <summary>Bytes of device memory that the workspace takes.</summary>
    long ByteCount { get; }

    /// <summary>
    /// Enqueues router, experts and combine for a batch. It allocates nothing, waits for nothing and copies nothing to the host.
    /// On a processor the forward has finished when this returns.
    /// </summary>
    /// <exception cref="ArgumentException">The caller routes, the tensors are on the processor, and an id is out of range.</exception>
    /// <exception cref="MoeException">The device failed.</exception>
    void Forward(MoeForwardArguments arguments);
}
