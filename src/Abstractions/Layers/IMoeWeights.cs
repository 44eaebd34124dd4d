namespace Moe.Plugins;

/// <summary>A layer's weights as one backend keeps them: immutable, shared by all threads, freed by Dispose.</summary>
public interface IMoeWeights : IDisposable
{
    /// <summary>Bytes of device memory that the weights take, padding included.</summary>
    long ByteCount { get; }
}
