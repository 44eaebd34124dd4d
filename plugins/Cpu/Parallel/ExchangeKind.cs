namespace Moe.Plugins.Cpu;

/// <summary>What ranks do together.</summary>
internal enum ExchangeKind
{
    AllReduce,
    ReduceAddNorm,
    AllGather,
    ReduceScatter,
}
