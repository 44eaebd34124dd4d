namespace Moe.Plugins;

/// <summary>What forwards of one layer on one stream need, made by <see cref="IMoeLayer.CreateState()"/>: one forward at a time.</summary>
/// <remarks>Dispose after the work that was enqueued with it; disposing the layer disposes its states.</remarks>
public interface IMoeForwardState : IDisposable
{
    /// <summary>Bytes of device memory that the state takes.</summary>
    long ByteCount { get; }
}
