namespace Moe.Plugins.Tests;

/// <summary>What a plugin is given: settings, and nothing else.</summary>
internal sealed class SettingsContext(params (string Key, string Value)[] settings) : IMoePluginContext, IMoePluginLog
{
    public IReadOnlyDictionary<string, string> Settings { get; } =
        settings.ToDictionary(setting => setting.Key, setting => setting.Value, StringComparer.OrdinalIgnoreCase);

    public string Folder => AppContext.BaseDirectory;

    public IMoePluginLog Log => this;

    public bool IsEnabled(MoeLogLevel level) => false;

    public void Write(MoeLogLevel level, string message, Exception? exception = null)
    {
        // Nobody reads it.
    }
}
