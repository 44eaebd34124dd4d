namespace Moe.Plugins;

/// <summary>
/// Copies a plugin's folder to a private one that is named by its content, and never loads from anywhere else. So a DLL can be replaced
/// while it is in use, no half-written file is read, and one path never means two versions of the code.
/// </summary>
internal sealed class PluginStaging
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    private readonly string _root;

    public PluginStaging(string root) => _root = root;

    /// <summary>Copies to <c>root/id/hash</c>, verifies the copy, and keeps it from being pruned until it is disposed.</summary>
    /// <param name="id">The plugin's id.</param>
    /// <param name="folder">Where it lies.</param>
    /// <param name="source">What was found there.</param>
    /// <exception cref="MoeException">The folder holds a link, changed while it was copied, or the copy cannot be written.</exception>
    public StagedPlugin Stage(string id, string folder, PluginContent source)
    {
        try
        {
            PrivateFolder.Create(_root);
            string parent = Path.Combine(_root, id);
            PrivateFolder.Create(parent);
            using FileLock turn = FileLock.Take(Path.Combine(_root, ".lock"), Patience);
            string target = Path.Combine(parent, source.Hash);
            string useFile = target + StagedCopies.UseExtension;
            FileLock use = FileLock.TryShare(useFile)
                ?? throw new IOException($"{useFile} is locked, which only a host that holds the staging folder's lock may do.");
            try
            {
                File.SetLastWriteTimeUtc(useFile, DateTime.UtcNow);
                PluginContent content = Reuse(target, source.Hash) ?? CopyTo(target, folder, source);
                StagedCopies.Prune(parent);
                return new StagedPlugin(target, content, use);
            }
            catch
            {
                use.Dispose();
                throw;
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new MoeException(MoeReason.NotFound, $"{folder} could not be copied to {_root}: {exception.Message}", exception);
        }
    }

    private static PluginContent? Reuse(string target, string hash)
    {
        if (!Directory.Exists(target))
        {
            return null;
        }

        PluginContent content = PluginContent.Read(target);
        if (content.Hash == hash)
        {
            MoeTelemetry.CacheHit("staging");
            return content;
        }

        // Damaged or tampered with. Moved, not deleted: another process may have it loaded.
        Directory.Move(target, Path.Combine(Path.GetDirectoryName(target)!, $"{StagedCopies.DamagedPrefix}{hash}-{Guid.NewGuid():N}"));
        return null;
    }

    private static PluginContent CopyTo(string target, string folder, PluginContent source)
    {
        string copy = Path.Combine(Path.GetDirectoryName(target)!, $"{StagedCopies.CopyingPrefix}{Guid.NewGuid():N}");
        try
        {
            Copy(folder, copy, source.Files.Keys);
            PluginContent content = PluginContent.Read(copy);
            if (content.Hash != source.Hash)
            {
                throw new MoeException(MoeReason.NotFound, $"{folder} changed while it was copied: it is being deployed, try again.");
            }

            Directory.Move(copy, target);
            return content;
        }
        finally
        {
            if (Directory.Exists(copy))
            {
                Directory.Delete(copy, recursive: true);
            }
        }
    }

    private static void Copy(string from, string to, IEnumerable<string> files)
    {
        PrivateFolder.Create(to);
        foreach (string file in files)
        {
            string destination = Path.Combine(to, file);
            PrivateFolder.Create(Path.GetDirectoryName(destination)!);
            File.Copy(Path.Combine(from, file), destination);
        }
    }
}
