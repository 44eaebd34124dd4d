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

    /// <summary>
    /// Whether the experts' products multiply FP8 numbers in forwards of so many tokens: it says which of a device's rates bounds them
    /// (<see cref="MoeCeilings.Fp8Teraflops"/>).
    /// </summary>
    /// <param name="tokens">Tokens of the forward.</param>
    bool MultipliesFp8(int tokens) => false;

    /// <summary>What else a user should know of how these weights are kept, in a sentence; null for nothing.</summary>
    string? Remark => null;

    /// <summary>Allocates what a forward of up to <see cref="MoeLayerConfig.MaxTokens"/> tokens needs; layers that take turns (<see cref="MoeLayerOptions.Turns"/>) may share it.</summary>
    /// <exception cref="MoeException">The device is out of memory.</exception>
    IMoeWorkspace CreateWorkspace();
}
