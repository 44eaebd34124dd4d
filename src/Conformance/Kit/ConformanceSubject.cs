namespace Moe.Plugins.Conformance;

/// <summary>A backend that is to be checked, and what its author says of it.</summary>
public sealed record ConformanceSubject
{
    /// <summary>What a backend may take for one rule unless something else is said: five minutes, enough to compile kernels on a busy machine.</summary>
    public static TimeSpan DefaultDeadline { get; } = TimeSpan.FromMinutes(5);

    /// <summary>The backend.</summary>
    public required IMoeBackend Backend { get; init; }

    /// <summary>What it is called in reports; empty for the name of its type.</summary>
    public string Name { get; init; } = "";

    /// <summary>The device; null lets the backend choose.</summary>
    public MoeDevice? Device { get; init; }

    /// <summary>Rules that the author knows to be broken.</summary>
    public IReadOnlyCollection<string> ExpectedFailures { get; init; } = [];

    /// <summary>Seed of random layers and tokens.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>The command that checks this backend, to which a rule's name is added in reports.</summary>
    public string Command { get; init; } = "moe verify";

    /// <summary>What the backend may take for one rule. What has not returned by then breaks the rule, and its thread is left behind.</summary>
    public TimeSpan Deadline { get; init; } = DefaultDeadline;

    /// <summary>The clock of the deadline.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>Refuses what cannot be checked.</summary>
    internal void Validate(string name)
    {
        ArgumentNullException.ThrowIfNull(Backend, $"{name}.{nameof(Backend)}");
        ArgumentNullException.ThrowIfNull(Name, $"{name}.{nameof(Name)}");
        ArgumentCheck.ThrowIfAnyNull(ExpectedFailures, $"{name}.{nameof(ExpectedFailures)}");
        ArgumentNullException.ThrowIfNull(Command, $"{name}.{nameof(Command)}");
        ArgumentNullException.ThrowIfNull(Clock, $"{name}.{nameof(Clock)}");
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(Deadline, TimeSpan.Zero, $"{name}.{nameof(Deadline)}");
    }

    internal bool Expects(string ruleId) => ExpectedFailures.Contains(ruleId, StringComparer.OrdinalIgnoreCase);

    internal string ShownName => Name.Length > 0 ? Name : Backend.GetType().Name;
}
