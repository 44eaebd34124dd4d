namespace Moe.Plugins;

/// <summary>What became of a reload, and why.</summary>
public sealed record MoeReloadReport
{
    /// <summary>The plugin's id.</summary>
    public required string Id { get; init; }

    /// <summary>What became of it.</summary>
    public required MoeReloadOutcome Outcome { get; init; }

    /// <summary>The plugin as its folder holds it now, with the steps that were done: where the old version was kept, why.</summary>
    public required MoePluginInfo Plugin { get; init; }

    /// <summary>One line, for people.</summary>
    public required string Sentence { get; init; }
}
