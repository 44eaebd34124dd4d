using Microsoft.Extensions.Logging;

namespace Moe.Plugins;

/// <summary>The host's messages. The event ids are stable: alerts are made of them.</summary>
internal static partial class HostLog
{
    [LoggerMessage(1, LogLevel.Information, "MoE backend {Id} {Version} is active, from {Path}.")]
    public static partial void PluginActive(ILogger logger, string id, string version, string path);

    [LoggerMessage(2, LogLevel.Warning, "MoE plugin {Id} at {Path} cannot be used ({State}, {Reason}): {Sentence}")]
    public static partial void PluginEnded(ILogger logger, string id, string path, MoeCandidateState state, MoeReason reason, string sentence);

    [LoggerMessage(3, LogLevel.Error, "{Sentence}")]
    public static partial void UnknownBackendNamed(ILogger logger, string sentence);

    [LoggerMessage(4, LogLevel.Warning, "{Sentence}")]
    public static partial void UnknownBackendInOrder(ILogger logger, string sentence);

    [LoggerMessage(5, LogLevel.Information, "{Sentence}")]
    public static partial void Selected(ILogger logger, string sentence);

    [LoggerMessage(6, LogLevel.Warning, "Fell back: {Sentence}")]
    public static partial void FellBack(ILogger logger, string sentence);

    [LoggerMessage(7, LogLevel.Error, "{Sentence}")]
    public static partial void NothingSelected(ILogger logger, string sentence);

    [LoggerMessage(8, LogLevel.Warning, "MoE backend {Id} failed at making a layer.")]
    public static partial void LayerFailed(ILogger logger, string id, Exception exception);

    [LoggerMessage(9, LogLevel.Warning, "MoE plugin {Id} was not disposed cleanly.")]
    public static partial void DisposeFailed(ILogger logger, string id, Exception exception);

    [LoggerMessage(EventId = 10, Message = "{Message}")]
    public static partial void PluginSays(ILogger logger, LogLevel level, string message, Exception? exception);

    [LoggerMessage(21, LogLevel.Information, "MoE backend {Id}: {Remark}")]
    public static partial void WeightsRemarked(ILogger logger, string id, string remark);

    [LoggerMessage(11, LogLevel.Information, "{Sentence}")]
    public static partial void Reloaded(ILogger logger, string sentence);

    [LoggerMessage(12, LogLevel.Warning, "{Sentence}")]
    public static partial void ReloadKept(ILogger logger, string sentence);

    [LoggerMessage(13, LogLevel.Warning, "A layer was not disposed cleanly.")]
    public static partial void LayerNotDisposed(ILogger logger, Exception exception);

    [LoggerMessage(
        14,
        LogLevel.Warning,
        "{Setting} is Any: every DLL in the plugin folders is loaded and may do anything. Pinned loads those that the lock file names.{Unused}")]
    public static partial void TrustsAny(ILogger logger, string setting, string unused);

    [LoggerMessage(15, LogLevel.Error, "{Sentence}")]
    public static partial void DeviceLost(ILogger logger, string sentence);

    [LoggerMessage(16, LogLevel.Error, "{Sentence}")]
    public static partial void NoBackend(ILogger logger, string sentence);

    [LoggerMessage(17, LogLevel.Warning, "The plugin folder {Folder} {Wrong}.")]
    public static partial void FolderMissing(ILogger logger, string folder, string wrong);

    [LoggerMessage(18, LogLevel.Warning, "{Sentence}")]
    public static partial void SettingUnused(ILogger logger, string sentence);

    [LoggerMessage(19, LogLevel.Warning, "{Sentence}")]
    public static partial void PatternUnused(ILogger logger, string sentence);

    [LoggerMessage(20, LogLevel.Warning, "{Count} versions of MoE plugin {Id} were unloaded and are still in memory: something keeps them, such as a static timer, an event, or a cache of a library that it uses. 'moe verify PLUGIN.dll --rule unloads' tells whether it is the plugin.")]
    public static partial void StillLoaded(ILogger logger, int count, string id);
}
