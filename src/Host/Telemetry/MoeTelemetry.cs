using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Moe.Plugins;

/// <summary>
/// What the host measures, under <see cref="Name"/> for meters and activity sources alike. Where nobody listens, an instrument costs one
/// comparison and allocates nothing.
/// </summary>
public static class MoeTelemetry
{
    /// <summary>The meter's and the activity source's name.</summary>
    public const string Name = "Moe.Plugins";

    private const string PluginTag = "moe.plugin";

    private static readonly Meter Meter = new(Name, MoeContract.Version);

    private static readonly Counter<long> Loads = Meter.CreateCounter<long>(
        "moe.plugins.loads", "{plugin}", "Plugins that were taken from a folder, by how far they got.");

    private static readonly Counter<long> Reloads = Meter.CreateCounter<long>(
        "moe.plugins.reloads", "{reload}", "Reloads, by their outcome.");

    private static readonly Counter<long> Selections = Meter.CreateCounter<long>(
        "moe.plugins.selections", "{layer}", "Layers that a backend was chosen for.");

    private static readonly Counter<long> Forwards = Meter.CreateCounter<long>(
        "moe.plugins.forwards", "{forward}", "Forwards that were enqueued.");

    private static readonly Counter<long> Tokens = Meter.CreateCounter<long>(
        "moe.plugins.tokens", "{token}", "Tokens of those forwards.");

    private static readonly Counter<long> Failures = Meter.CreateCounter<long>(
        "moe.plugins.forward.failures", "{forward}", "Forwards that a backend failed at.");

    private static readonly Counter<long> CacheHits = Meter.CreateCounter<long>(
        "moe.plugins.cache.hits", "{hit}", "Work that a cache saved: the copying of a plugin, or its trial in a process of its own.");

    private static readonly ActivitySource Source = new(Name, MoeContract.Version);

    internal static Activity? Start(string what) => Source.StartActivity(what);

    internal static void Loaded(PluginRecord plugin) =>
        Loads.Add(1, new(PluginTag, plugin.Id), new("moe.state", plugin.State.ToString()));

    internal static void Reloaded(MoeReloadReport report) =>
        Reloads.Add(1, new(PluginTag, report.Id), new("moe.outcome", report.Outcome.ToString()));

    internal static void Selected(MoeSelectionReport report) =>
        Selections.Add(1, new(PluginTag, report.Selected?.Id), new("moe.fallback", report.IsFallback));

    internal static void CacheHit(string cache) => CacheHits.Add(1, new KeyValuePair<string, object?>("moe.cache", cache));

    internal static void Forwarded(string? plugin, int tokens)
    {
        if (Forwards.Enabled)
        {
            Forwards.Add(1, new KeyValuePair<string, object?>(PluginTag, plugin));
        }

        if (Tokens.Enabled)
        {
            Tokens.Add(tokens, new KeyValuePair<string, object?>(PluginTag, plugin));
        }
    }

    internal static void ForwardFailed(string? plugin) => Failures.Add(1, new KeyValuePair<string, object?>(PluginTag, plugin));
}
