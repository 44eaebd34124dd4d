namespace Moe.Plugins;

/// <summary>What the host gives a plugin.</summary>
/// <param name="Settings">Its settings.</param>
/// <param name="Section">The section that they were read from.</param>
/// <param name="Folder">The folder that it was loaded from.</param>
/// <param name="Log">Where its messages go.</param>
internal sealed record PluginContext(IReadOnlyDictionary<string, string> Settings, string Section, string Folder, IMoePluginLog Log) : IMoePluginContext
{
    public string SettingPath(string key) => $"{Section}:{key}";
}
