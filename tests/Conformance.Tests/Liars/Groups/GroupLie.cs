namespace Moe.Plugins.Conformance.Tests.Liars;

/// <summary>One fault that a group can have.</summary>
public enum GroupLie
{
    None,
    AddsARankTwice,
    NormsBeforeAdding,
    RoundsOnOneRankOnly,
    ForgetsTheResidual,
    KeepsTheLastNumberOfRows,
    GathersInAnotherOrder,
    WritesOneElementMore,
    AddsIntoTheResidual,
    ReturnsAsIfNothingHadHappened,
    WaitsForever,
    TakesAnyNumberOfRows,
    IgnoresAborts,
    TakesWrongSizes,
    LooksAtTheFirstExpertOnly,
    LeavesOutPartsOfTheLastExperts,
    LeavesOutRowsButNoParts,
}
