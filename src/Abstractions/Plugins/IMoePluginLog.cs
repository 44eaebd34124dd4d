namespace Moe.Plugins;

/// <summary>The host's log, as a plugin sees it. Thread-safe.</summary>
public interface IMoePluginLog
{
    /// <summary>Whether a message of this level goes anywhere.</summary>
    bool IsEnabled(MoeLogLevel level);

    /// <summary>Writes a message.</summary>
    void Write(MoeLogLevel level, string message, Exception? exception = null);
}
