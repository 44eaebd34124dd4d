using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Moe.Plugins;

/// <summary>
/// Says how a host is: healthy; degraded where a layer runs on a backend that it was not meant for, or a plugin is in quarantine; unhealthy
/// where a device's context is lost, which only a restart cures, or where no plugin is usable at all. Its data are the selection of each
/// layer by the layer's name, and each plugin that is not usable with the reason.
/// </summary>
/// <param name="host">The host.</param>
public sealed class MoeHealthCheck(IMoeHost host) : IHealthCheck
{
    /// <summary>The name under which to register it.</summary>
    public const string Name = "moe";

    private readonly IMoeHost _host = host ?? throw new ArgumentNullException(nameof(host));

    /// <inheritdoc/>
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(context);
        IReadOnlyList<MoePluginInfo> plugins = _host.Plugins;
        IReadOnlyList<MoeSelectionReport> selections = _host.Selections;
        string[] lost = [.. _host.LostDevices];
        string[] quarantined = [.. plugins.Where(static p => p.State == MoeCandidateState.Quarantined).Select(static p => $"{p.Id} is in quarantine")];
        string[] fallen = [.. selections.Where(static s => s.IsFallback).Select(static s => $"fell back: {s.Sentence}")];
        bool isUsable = plugins.Any(static p => p.State == MoeCandidateState.Activated);

        HealthStatus status = lost.Length != 0 || !isUsable ? HealthStatus.Unhealthy
            : quarantined.Length + fallen.Length != 0 ? HealthStatus.Degraded
            : HealthStatus.Healthy;

        // What a registration says to report instead of unhealthy is for it to say.
        status = status == HealthStatus.Unhealthy ? context?.Registration?.FailureStatus ?? status : status;
        string[] sentences = [.. lost, .. isUsable ? (string[])[] : ["no backend is usable"], .. quarantined, .. fallen];
        return Task.FromResult(new HealthCheckResult(
            status,
            sentences.Length == 0 ? $"{plugins.Count} plugins, {selections.Count} layers" : string.Join(" ", sentences),
            data: Data(plugins, selections)));
    }

    private static Dictionary<string, object> Data(IReadOnlyList<MoePluginInfo> plugins, IReadOnlyList<MoeSelectionReport> selections)
    {
        var data = new Dictionary<string, object>(StringComparer.Ordinal);
        foreach (MoeSelectionReport selection in selections)
        {
            data[$"layer {selection.Request.Name}"] = selection.Sentence;
        }

        foreach (MoePluginInfo plugin in plugins)
        {
            data[$"plugin {plugin.Path}"] = plugin.State == MoeCandidateState.Activated
                ? $"{plugin.Id} {plugin.Version}"
                : $"{plugin.Id} {plugin.Version}: {plugin.State}, {plugin.Reason}: {plugin.Message}";
        }

        return data;
    }
}
