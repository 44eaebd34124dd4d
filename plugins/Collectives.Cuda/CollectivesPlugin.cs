using Moe.Plugins;
using Moe.Plugins.Collectives;

[assembly: MoePlugin("Collectives.Cuda", typeof(CollectivesPlugin))]

namespace Moe.Plugins.Collectives;

/// <summary>Joins CUDA devices into groups; it runs no layers.</summary>
/// <remarks>
/// Settings: <c>Transport</c>, what carries the numbers (<c>Auto</c>, <c>PeerMemory</c> or <c>Nccl</c>); <c>Nccl</c>, NCCL's file; <c>NvLinkMulticast</c>,
/// <c>true</c> to let NCCL use multicast over NVLink, which has never been exercised; <c>Table</c>, a file of plans as <c>moe bench parallel --tune</c>
/// writes it; <c>Plan</c>, one way to reduce (<c>push</c>, <c>twoshot</c>, <c>pull</c> or <c>twopull</c>, then blocks, rows ahead and rows a launch, as in
/// <c>push:132:2:1024</c>) for every number of rows, in place of the table, or <c>nccl</c>, an all-reduce of NCCL's of the rows' own type, to compare with;
/// <c>KernelCache</c> and <c>Nvrtc</c> as other CUDA backends have them.
/// </remarks>
public sealed class CollectivesPlugin : IMoePlugin
{
    /// <inheritdoc/>
    public IMoeBackend CreateBackend(IMoePluginContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return new CollectivesBackend(context);
    }
}
