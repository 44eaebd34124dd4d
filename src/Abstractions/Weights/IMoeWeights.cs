namespace Moe.Plugins;

/// <summary>
/// A layer's weights as one backend keeps them: immutable, shared by all threads, freed by Dispose. They know the layer's config, and
/// make what a forward needs.
/// </summary>
public interface IMoeWeights : IDisposable
{
    /// <summary>Bytes of device memory that the weights take, padding included.</summary>
    long ByteCount { get; }

    /// <summary>
    /// ‖stored − kept‖ ÷ ‖stored‖ over all weights of the experts: 0 where the backend keeps the checkpoint's values exactly.
    /// </summary>
    double RoundingError => 0;

    /// <summary>Allocates what a forward of up to <see cref="MoeLayerConfig.MaxTokens"/> tokens needs.</summary>
    /// <exception cref="MoeException">The device is out of memory.</exception>
    IMoeWorkspace CreateWorkspace();
}
