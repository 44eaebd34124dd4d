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

    /// <summary>Begins an activity, which ends when it is disposed.</summary>
    internal static Work Start(string what)
    {
        try
        {
            return new Work(Source.StartActivity(what));
        }
        catch (Exception)
        {
            return default;
        }
    }

    internal static void Loaded(PluginRecord plugin) =>
        Count(Loads, 1, new(PluginTag, plugin.Id), new("moe.state", plugin.State.ToString()));

    internal static void Reloaded(MoeReloadReport report) =>
        Count(Reloads, 1, new(PluginTag, report.Id), new("moe.outcome", report.Outcome.ToString()));

    internal static void Selected(MoeSelectionReport report) =>
        Count(Selections, 1, new(PluginTag, report.Selected?.Id), new("moe.fallback", report.IsFallback));

    internal static void CacheHit(string cache) => Count(CacheHits, 1, new KeyValuePair<string, object?>("moe.cache", cache));

    internal static void Forwarded(string? plugin, int tokens)
    {
        if (Forwards.Enabled)
        {
            Count(Forwards, 1, new KeyValuePair<string, object?>(PluginTag, plugin));
        }

        if (Tokens.Enabled)
        {
            Count(Tokens, tokens, new KeyValuePair<string, object?>(PluginTag, plugin));
        }
    }

    internal static void ForwardFailed(string? plugin) => Count(Failures, 1, new KeyValuePair<string, object?>(PluginTag, plugin));

    // Listeners run here, plugins' too, and what one throws is no fault of what is counted.
    private static void Count(Counter<long> counter, long value, params ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        try
        {
            counter.Add(value, tags);
        }
        catch (Exception)
        {
        }
    }

    /// <summary>An activity that is under way, if anybody listens.</summary>
    internal readonly struct Work(Activity? activity) : IDisposable
    {
        public void Dispose()
        {
            try
            {
                activity?.Dispose();
            }
            catch (Exception)
            {
                // A listener's, as above.
            }
        }
    }
}
