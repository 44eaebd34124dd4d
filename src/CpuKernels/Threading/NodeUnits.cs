namespace Moe.Plugins.Cpu;

/// <summary>Units of work that are numbered node by node.</summary>
internal static class NodeUnits
{
    /// <summary>The node of a unit, and its number among that node's.</summary>
    /// <param name="unitsOfNodes">How many each node has.</param>
    /// <param name="unit">Its number among those of all nodes.</param>
    public static (int Node, int Unit) Find(ReadOnlySpan<int> unitsOfNodes, int unit)
    {
        int node = 0;
        while (unit >= unitsOfNodes[node])
        {
            unit -= unitsOfNodes[node++];
        }

        return (node, unit);
    }
}
