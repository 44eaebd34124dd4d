namespace Moe.Plugins;

/// <summary>What became of the process that a plugin was tried in.</summary>
/// <param name="Id">The plugin's id.</param>
/// <param name="Version">Its version.</param>
/// <param name="Hash">The hash of its content.</param>
/// <param name="Reason">Why it is quarantined; <see cref="MoeReason.None"/> where the process survived.</param>
/// <param name="Sentence">For people: how the process ended.</param>
/// <param name="Runtime">The runtime that it was tried on.</param>
internal sealed record TrialVerdict(string Id, string Version, string Hash, MoeReason Reason, string Sentence, string Runtime)
{
    public bool IsHarmless => Reason == MoeReason.None;
}
