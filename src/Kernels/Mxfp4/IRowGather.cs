namespace Moe.Plugins.Kernels;

/// <summary>Brings token rows into the order of the sorted pairs, as BF16.</summary>
internal interface IRowGather
{
    /// <summary>Enqueues the copies.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="shape">The layer's shape: hidden size columns, top-k pairs a row.</param>
    /// <param name="routing">The sorted pairs.</param>
    /// <param name="target">[sorted pairs, hidden] BF16.</param>
    /// <param name="stream">The stream.</param>
    void Run(in ExpertRows rows, MoeLayerShape shape, RoutingBuffers routing, nint target, nint stream);
}
