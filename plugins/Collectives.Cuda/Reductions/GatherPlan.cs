namespace Moe.Plugins.Collectives;

/// <summary>How rows are gathered. It depends on their number and bytes and that of the ranks alone: all ranks must launch the same.</summary>
/// <param name="Way">How they get to the others.</param>
/// <param name="Blocks">The most blocks of a launch.</param>
/// <param name="LaunchRows">Rows of a launch; more are several launches.</param>
/// <param name="SlotBytes">Of the place where another rank finds a row.</param>
internal readonly record struct GatherPlan(GatherWay Way, int Blocks, int LaunchRows, int SlotBytes);
