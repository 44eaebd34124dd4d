namespace Moe.Plugins.Cpu.Tests;

/// <summary>The parts of a layer.</summary>
internal static class Parts
{
    /// <summary>A part for each rank, in the order of the group's ranks.</summary>
    public static IEnumerable<MoePart> Of(int tensorRanks, int expertRanks) =>
        from expert in Enumerable.Range(0, expertRanks)
        from tensor in Enumerable.Range(0, tensorRanks)
        select new MoePart { TensorRank = tensor, TensorCount = tensorRanks, ExpertRank = expert, ExpertCount = expertRanks };
}
