namespace Moe.Plugins.Tests;

/// <summary>Tests that look at the whole process's memory, with no others beside them.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}
