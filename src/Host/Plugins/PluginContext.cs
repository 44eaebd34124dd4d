namespace Moe.Plugins;

/// <summary>What the host gives a plugin.</summary>
internal sealed record PluginContext(IReadOnlyDictionary<string, string> Settings, string Folder, IMoePluginLog Log) : IMoePluginContext;
