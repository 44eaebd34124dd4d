using Microsoft.Extensions.Logging;

namespace Moe.Plugins;

/// <summary>The host's log, as a plugin sees it.</summary>
internal sealed class PluginLog(ILogger logger) : IMoePluginLog
{
    public bool IsEnabled(MoeLogLevel level) => logger.IsEnabled(LevelOf(level));

    public void Write(MoeLogLevel level, string message, Exception? exception = null)
    {
        LogLevel hostLevel = LevelOf(level);
        if (logger.IsEnabled(hostLevel))
        {
            string text = PlainText.OfMessage(message);
            HostLog.PluginSays(logger, hostLevel, text, exception is null ? null : Fault.Read(exception).Shown);
        }
    }

    private static LogLevel LevelOf(MoeLogLevel level) => level switch
    {
        MoeLogLevel.Debug => LogLevel.Debug,
        MoeLogLevel.Information => LogLevel.Information,
        MoeLogLevel.Warning => LogLevel.Warning,
        _ => LogLevel.Error,
    };
}
