namespace Moe.Plugins;

/// <summary>Who chooses the experts of each token.</summary>
public enum MoeRoutingSource
{
    /// <summary>The layer's own router; ids and weights are written to the caller's buffers if there are any.</summary>
    Router = 0,

    /// <summary>
    /// The caller, who hands in ids (each 0 to experts − 1, distinct in a row) and weights. An id that is out of range is refused on the
    /// processor; on a device, where nobody can look without waiting, it contributes nothing.
    /// </summary>
    Caller = 1,
}
