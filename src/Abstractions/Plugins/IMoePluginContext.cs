namespace Moe.Plugins;

/// <summary>What a host gives a plugin.</summary>
public interface IMoePluginContext
{
    /// <summary>
    /// The plugin's own settings, from <c>Moe:Plugins:&lt;id&gt;</c>. Keys are case-insensitive; nested keys are joined by colons.
    /// </summary>
    IReadOnlyDictionary<string, string> Settings { get; }

    /// <summary>The folder that the plugin was loaded from: a private copy, in which nothing changes while the plugin is loaded.</summary>
    string Folder { get; }

    /// <summary>Where the plugin's messages go.</summary>
    IMoePluginLog Log { get; }
}
