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

    /// <summary>
    /// A setting's key as the user wrote it in the host's configuration, to name it in a message: <c>Moe:Plugins:Cpu:Threads</c>;
    /// <c>MoeOptions.Plugins:Cpu:Threads</c> where the program set it.
    /// </summary>
    /// <param name="key">The key in <see cref="Settings"/>.</param>
    string SettingPath(string key) => key;
}
