using System.Collections.Concurrent;

namespace Moe.Plugins;

/// <summary>
/// Devices whose context was lost. The host knows no CUDA: a backend says so by <see cref="MoeReason.ContextLost"/>. A driver's context is the
/// process's, not one backend's, so all backends are done with the device.
/// </summary>
internal sealed class DeviceLosses
{
    private readonly ConcurrentDictionary<MoeDevice, string> _lost = [];

    public IEnumerable<string> Sentences => _lost.Select(static pair => Sentence(pair.Key, pair.Value));

    public void Add(MoeDevice device, string because) => _lost.TryAdd(device, because);

    /// <summary>What to tell people of a device; null where it is not lost.</summary>
    public string? Find(MoeDevice device) => _lost.TryGetValue(device, out string? because) ? Sentence(device, because) : null;

    /// <summary>The candidate, refused if its device is lost.</summary>
    public MoeCandidate Judge(MoeCandidate candidate) =>
        candidate is { IsEligible: true, Device: { } device } && Find(device) is { } sentence
            ? candidate with
            {
                State = MoeCandidateState.Rejected,
                Reason = MoeReason.ContextLost,
                Message = sentence,
                Score = null,
            }
            : candidate;

    private static string Sentence(MoeDevice device, string because) =>
        $"The context of {device} is lost, and with it every layer on it; only a restart of the process recovers it. {because}";
}
