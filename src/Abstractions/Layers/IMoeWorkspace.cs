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

    /// <summary>Whether <see cref="Route"/> can be called, of a layer that has a router. By default it cannot.</summary>
    bool CanRoute => false;

    /// <summary>
    /// Enqueues the router alone: ids and weights of a batch, with the same bits as a <see cref="Forward"/> of those tokens writes. It allocates nothing, waits for
    /// nothing and copies nothing to the host.
    /// </summary>
    /// <exception cref="MoeException">The device failed.</exception>
    /// <exception cref="NotSupportedException">It cannot: <see cref="CanRoute"/>.</exception>
    void Route(MoeRouteArguments arguments) => throw new NotSupportedException($"{GetType().Name} does not route without a forward.");
}
