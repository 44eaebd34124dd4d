namespace Moe.Plugins.Conformance;

/// <summary>A backend that is to be checked, and what its author says of it.</summary>
public sealed record ConformanceSubject
{
    /// <summary>The backend.</summary>
    public required IMoeBackend Backend { get; init; }

    /// <summary>The device; null lets the backend choose.</summary>
    public MoeDevice? Device { get; init; }

    /// <summary>Rules that the author knows to be broken.</summary>
    public IReadOnlyCollection<string> ExpectedFailures { get; init; } = [];

    /// <summary>Seed of random layers and tokens.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>The command that checks this backend, to which a rule's name is added in reports.</summary>
    public string Command { get; init; } = "moe verify";
}
