namespace Moe.Plugins.Collectives;

/// <summary>How rows are reduced. It depends on their number and that of the ranks alone: all ranks must launch the same.</summary>
/// <param name="Way">How the rows come together.</param>
/// <param name="Blocks">The most blocks of a launch.</param>
/// <param name="Ahead">Rows that a block pushes before it waits for the first.</param>
/// <param name="LaunchRows">The most rows of a launch; more are several launches.</param>
internal readonly record struct ReductionPlan(ReductionWay Way, int Blocks, int Ahead, int LaunchRows);
