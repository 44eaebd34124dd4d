namespace Moe.Plugins;

/// <summary>What one trial found.</summary>
/// <param name="Kind">Whether it says something of the plugin.</param>
/// <param name="Reason">Why the plugin is at fault; <see cref="MoeReason.None"/> where it is not.</param>
/// <param name="Sentence">For people: what happened.</param>
internal sealed record TrialOutcome(TrialOutcome.Kinds Kind, MoeReason Reason, string Sentence)
{
    public enum Kinds
    {
        /// <summary>The plugin did no harm.</summary>
        Harmless,

        /// <summary>The plugin's own code ended the process, or did not return.</summary>
        Fault,

        /// <summary>The process was ended or held up from outside: nothing is known of the plugin.</summary>
        Interrupted,

        /// <summary>The process did not come as far as the plugin.</summary>
        NotStarted,
    }

    public static TrialOutcome Harmless { get; } = new(Kinds.Harmless, MoeReason.None, "");

    public static TrialOutcome Fault(MoeReason reason, string sentence) => new(Kinds.Fault, reason, sentence);

    public static TrialOutcome Interrupted(string sentence) => new(Kinds.Interrupted, MoeReason.None, sentence);

    public static TrialOutcome NotStarted(string why) => new(Kinds.NotStarted, MoeReason.None, why);
}
