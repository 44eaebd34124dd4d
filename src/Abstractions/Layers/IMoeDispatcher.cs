namespace Moe.Plugins;

/// <summary>
/// Whatever carries tokens between the ranks of expert parallelism before the experts run. It has an alignment of its own and is
/// asked first; the backend rounds its result, and the outcome must satisfy both.
/// </summary>
public interface IMoeDispatcher
{
    /// <summary>The width that the dispatcher's buffers need for this hidden size: at least its input, monotone, idempotent.</summary>
    int RoundUpHiddenSize(int hiddenSize) => hiddenSize;

    /// <summary>
    /// Whether tokens reach the experts at the caller's own width: the dispatcher is local, or it passes the alignment on. Only
    /// then can a method skip the host's padding and slicing.
    /// </summary>
    bool PreservesWidth => false;
}
