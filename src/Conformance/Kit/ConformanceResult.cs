namespace Moe.Plugins.Conformance;

/// <summary>What became of one rule.</summary>
public sealed record ConformanceResult
{
    /// <summary>The rule's id.</summary>
    public required string RuleId { get; init; }

    /// <summary>The rule, in a sentence.</summary>
    public required string Statement { get; init; }

    /// <summary>What became of it.</summary>
    public required ConformanceOutcome Outcome { get; init; }

    /// <summary>Where it is broken; empty where it is kept.</summary>
    public IReadOnlyList<ConformanceFailure> Failures { get; init; } = [];

    /// <summary>Why it does not apply or was not run, where that is so.</summary>
    public string Reason { get; init; } = "";

    /// <summary>What runs this rule alone again.</summary>
    public string Command { get; init; } = "";

    /// <summary>Whether the backend had not returned by the deadline. A thread is still in it then: do not dispose it, and end the process without it.</summary>
    public bool TimedOut { get; init; }

    /// <summary>Whether this is a fault of the backend, or of its author's list.</summary>
    public bool IsFault => Outcome is ConformanceOutcome.Failed or ConformanceOutcome.UnexpectedPass or ConformanceOutcome.NotRun;
}
