namespace Moe.Plugins;

/// <summary>
/// How one backend runs one layer: it alone owns the padding rules, the weight layout and the kernels. The order of calls is:
/// round, <see cref="MoeLayerConfig.Create"/>, <see cref="CreateWeights"/> once, <see cref="IMoeWeights.CreateWorkspace"/> once per stream,
/// <see cref="IMoeWorkspace.Forward"/> for every batch.
/// </summary>
/// <remarks>
/// Rounding, the capabilities and <see cref="Numerics"/> touch no device: a tool may ask for them on a machine that has none. All
/// members may be called from several threads at once. Dispose frees what the method itself holds, after its weights and workspaces.
/// </remarks>
public interface IMoeQuantMethod : IDisposable
{
    /// <summary>The hidden size that the weights get: at least its input, monotone, idempotent, pure. Also asked for a latent width.</summary>
    int RoundUpHiddenSize(int hiddenSize);

    /// <summary>The intermediate size that the weights get: at least its input, monotone, idempotent, pure.</summary>
    int RoundUpIntermediateSize(int intermediateSize);

    /// <summary>Whether a forward takes the caller's unpadded activations. If not, the host pads them.</summary>
    bool SupportsSkipForwardPadding => false;

    /// <summary>Whether a forward writes the caller's unpadded output. If not, the host slices it.</summary>
    bool HasUnpaddedOutput => false;

    /// <summary>What the method promises about its arithmetic.</summary>
    MoeNumerics Numerics { get; }

    /// <summary>The memory that the method computes on.</summary>
    /// <exception cref="MoeException">The device cannot be used.</exception>
    IMoeMemory Memory { get; }

    /// <summary>Loads, pads and repacks a layer's weights: once.</summary>
    /// <param name="config">The sizes, made through this method.</param>
    /// <param name="source">The checkpoint's tensors, already checked against the shape; can be read during the call only.</param>
    /// <param name="progress">Told the share that is done, 0 to 1; may be null.</param>
    /// <param name="cancellationToken">Ends a long load early.</param>
    /// <exception cref="MoeException">The device is out of memory or failed, or a tensor cannot be read.</exception>
    IMoeWeights CreateWeights(
        MoeLayerConfig config,
        MoeWeightSource source,
        IProgress<double>? progress = null,
        CancellationToken cancellationToken = default);
}
