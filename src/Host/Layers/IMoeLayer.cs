namespace Moe.Plugins;

/// <summary>A mixture-of-experts layer on one backend, as <see cref="IMoeHost"/> makes it. <see cref="MoeLayer"/> is the one there is.</summary>
/// <remarks>
/// Weights are immutable: several threads may run forwards at once, each with a state of its own. Dispose after the enqueued work is
/// done; it frees the layer's states, its weights and its method.
/// </remarks>
public interface IMoeLayer : IDisposable
{
    /// <summary>The sizes that the layer really has; every buffer is sized from it.</summary>
    MoeLayerConfig Config { get; }

    /// <summary>The device that the layer is on, and that the tensors of a call must be on.</summary>
    MoeDevice Device { get; }

    /// <summary>The memory of that device, to make a <see cref="MoeBuffer"/> on.</summary>
    /// <exception cref="ObjectDisposedException">The layer was disposed.</exception>
    IMoeMemory Memory { get; }

    /// <summary>Bytes of device memory that the weights take, padding included.</summary>
    long WeightByteCount { get; }

    /// <summary>‖stored − kept‖ ÷ ‖stored‖ over the experts' weights; 0 where the backend keeps the checkpoint's values exactly.</summary>
    double WeightRoundingError { get; }

    /// <summary>What else a user should know of how the weights are kept, in a sentence; null for nothing.</summary>
    string? WeightRemark { get; }

    /// <summary>Whether the experts' products multiply FP8 numbers in forwards of so many tokens.</summary>
    /// <exception cref="ObjectDisposedException">The layer was disposed.</exception>
    bool MultipliesFp8(int tokens);

    /// <summary>
    /// Why the layer can run no more; null while it can. A forward that fails leaves the layer usable with another state, unless the device's
    /// context is lost: then every layer on the device has failed, and a new process is the cure.
    /// </summary>
    MoeException? Failure { get; }

    /// <summary>Whether the layer's plugin was reloaded since: it goes on as it is, and a layer that is made now is the new version's.</summary>
    bool IsOutdated { get; }

    /// <summary>Makes what a forward needs: once for each stream or thread that runs the layer.</summary>
    /// <exception cref="MoeException">The layer dispatches tokens and so needs a group, or the device is out of memory or failed.</exception>
    /// <exception cref="ObjectDisposedException">The layer was disposed.</exception>
    IMoeForwardState CreateState();

    /// <summary>
    /// Makes what a forward of a part needs, whose sums are reduced with the other ranks'. A group that has ended spoils the states of its
    /// members only: the layer keeps its weights, and goes on with a state for a member of a new group. Where the ranks are processes, all of
    /// them make their states in the same order, and find out here whether a rank has another backend, version or layer.
    /// </summary>
    /// <param name="communicator">This rank's member of the group; it must outlive the state.</param>
    /// <exception cref="MoeException">The member does not fit the layer's part and sizes, ranks differ, or the device is out of memory or failed.</exception>
    /// <exception cref="ObjectDisposedException">The layer was disposed.</exception>
    IMoeForwardState CreateState(IMoeCommunicator communicator);

    /// <summary>
    /// Enqueues a forward: pads the input if the method wants it padded, runs the method, slices the output if the method leaves it
    /// padded. With a member of a group it ends with one reduction over all ranks, which make the same calls, and begins with a dispatch where
    /// each rank brings tokens of its own. Allocates nothing, waits for nothing, but where ranks are threads of the processor they wait for
    /// each other.
    /// </summary>
    /// <exception cref="ArgumentException">A tensor has another size, type or device than the layer, or the state is another layer's.</exception>
    /// <exception cref="InvalidOperationException">Another thread uses the state, or one of a layer that takes turns with this one; or the state was disposed.</exception>
    /// <exception cref="MoeException">
    /// The backend failed, now or, where <see cref="Failure"/> says so, before. What the output holds then is not to be used.
    /// </exception>
    void Forward(IMoeForwardState state, MoeLayerCall layerCall);

    /// <summary>Waits for what was enqueued on a stream. A device reports there what went wrong since the last time.</summary>
    /// <param name="stream">The stream, a raw handle of the backend's; 0 for its default stream.</param>
    /// <exception cref="MoeException">Something enqueued before has failed; its output is not to be used.</exception>
    /// <exception cref="ObjectDisposedException">The layer was disposed.</exception>
    void Synchronize(nint stream = 0);
}
