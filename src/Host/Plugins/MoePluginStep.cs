namespace Moe.Plugins;

/// <summary>One step that was done with a plugin.</summary>
/// <param name="Step">What was done.</param>
/// <param name="Outcome">How it ended.</param>
/// <param name="Reason">Why, for programs; <see cref="MoeReason.None"/> where it passed.</param>
/// <param name="Sentence">For people: what was found.</param>
/// <param name="Duration">How long it took.</param>
public sealed record MoePluginStep(
    MoePluginStepKind Step,
    MoeStepOutcome Outcome,
    MoeReason Reason,
    string Sentence,
    TimeSpan Duration);
