namespace Moe.Plugins;

/// <summary>What a plugin's metadata declares.</summary>
internal sealed record PluginManifest(string Id, string EntryType, string Contract, string Version);
