namespace Moe.Plugins.Collectives;

/// <summary>What carries a group's numbers: the plugin's setting <c>Transport</c>.</summary>
internal enum Transport
{
    /// <summary>Peer memory where devices reach each other's and numbers arrive, else NCCL.</summary>
    Auto,

    /// <summary>Kernels that reach the other ranks' memory.</summary>
    PeerMemory,

    /// <summary>NVIDIA's library.</summary>
    Nccl,
}
