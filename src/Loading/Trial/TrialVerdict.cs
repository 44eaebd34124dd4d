using System.Security.Cryptography;
using System.Text;

namespace Moe.Plugins;

/// <summary>What became of the processes that a plugin was tried in.</summary>
/// <param name="Id">The plugin's id.</param>
/// <param name="Version">Its version.</param>
/// <param name="Hash">The hash of its content.</param>
/// <param name="Reason">Why it is quarantined; <see cref="MoeReason.None"/> where the process survived.</param>
/// <param name="Sentence">For people: how the process ended.</param>
/// <param name="Runtime">The runtime that it was tried on.</param>
/// <param name="Seconds">The time limit of each step.</param>
/// <param name="Settings">A hash of its settings, which may be secret.</param>
internal sealed record TrialVerdict(
    string Id, string Version, string Hash, MoeReason Reason, string Sentence, string Runtime, double Seconds, string Settings)
{
    public bool IsHarmless => Reason == MoeReason.None;

    public static TrialVerdict Of(
        FolderPlugin plugin, string hash, TrialOutcome outcome, TimeSpan timeout, IReadOnlyDictionary<string, string> settings) =>
        new(plugin.Id, plugin.Version, hash, outcome.Reason, outcome.Sentence, VerdictStore.Runtime, timeout.TotalSeconds, HashOf(settings));

    /// <summary>
    /// Whether it still counts. One that found no harm counts on its own runtime; a crash counts until it is released; a step that took too long
    /// counts for the same settings, and for those who would not wait longer.
    /// </summary>
    public bool Counts(TimeSpan timeout, IReadOnlyDictionary<string, string> settings) => Reason switch
    {
        MoeReason.None => Runtime == VerdictStore.Runtime,
        MoeReason.TimedOut => timeout.TotalSeconds <= Seconds && HashOf(settings) == Settings,
        _ => true,
    };

    private static string HashOf(IReadOnlyDictionary<string, string> settings)
    {
        IEnumerable<string> lines = settings
            .OrderBy(static setting => setting.Key, StringComparer.OrdinalIgnoreCase)
            .Select(static setting => $"{setting.Key.ToUpperInvariant()}\0{setting.Value}\n");
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Concat(lines))));
    }
}
