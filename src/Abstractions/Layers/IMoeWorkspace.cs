namespace Moe.Plugins;

/// <summary>
/// What one forward needs besides weights and the caller's buffers, made once for the config's most tokens. It belongs to one
/// stream: two forwards may not use it at once. Freed by Dispose.
/// </summary>
public interface IMoeWorkspace : IDisposable
{
    /// <summary>Bytes of device memory that the workspace takes.</summary>
    long ByteCount { get; }
}
