namespace Moe.Plugins;

/// <summary>What the ranks of a group do together.</summary>
public enum MoeGroupCallKind
{
    /// <summary><see cref="IMoeCommunicator.AllReduce"/>.</summary>
    AllReduce,

    /// <summary><see cref="IMoeCommunicator.ReduceAddNorm"/>.</summary>
    ReduceAddNorm,

    /// <summary><see cref="IMoeCommunicator.AllGather"/>.</summary>
    AllGather,

    /// <summary><see cref="IMoeCommunicator.ReduceScatter"/>.</summary>
    ReduceScatter,
}
