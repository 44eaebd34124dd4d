namespace Moe.Plugins;

/// <summary>A plugin as a lock file names it.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Version">Its version.</param>
/// <param name="Files">The SHA-256 of each of its files, in lower-case hexadecimal, by the path within its folder.</param>
internal sealed record PluginPin(string Id, string Version, IReadOnlyDictionary<string, string> Files)
{
    /// <summary>Compares what would be loaded with what is pinned.</summary>
    /// <exception cref="MoeException">Something differs; the message names the first difference.</exception>
    public void Check(string version, PluginContent content)
    {
        if (version != Version)
        {
            throw Differs($"it is version {version}, and {Version} is pinned");
        }

        foreach ((string path, string sha256) in content.Files)
        {
            if (!Files.TryGetValue(path, out string? pinned))
            {
                throw Differs($"{path} is not among the files that are pinned");
            }

            if (pinned != sha256)
            {
                throw Differs($"{path} has SHA-256 {sha256}, and {pinned} is pinned");
            }
        }

        string? missing = Files.Keys.Where(path => !content.Files.ContainsKey(path)).Order(StringComparer.Ordinal).FirstOrDefault();
        if (missing is not null)
        {
            throw Differs($"{missing} is pinned and is not there");
        }
    }

    private MoeException Differs(string how) =>
        new(MoeReason.Trust, $"It is not the plugin {Id} that the lock file pins: {how}. 'moe plugins trust FOLDER' pins what is there now.");
}
