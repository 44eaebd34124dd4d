namespace Moe.Plugins;

/// <summary>
/// Copies a plugin's folder to a private one that is named by its content, and never loads from anywhere else. So a DLL can be replaced
/// while it is in use, no half-written file is read, and one path never means two versions of the code.
/// </summary>
internal sealed class PluginStaging
{
    private const string LockName = ".lock";

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    private readonly string _root;
    private readonly string _setting;
    private readonly bool _checksWay;

    /// <param name="options">Say where the staging folder is.</param>
    /// <param name="checksWay">Whether all that leads to it must be safe from other users too, and not only the folder itself.</param>
    public PluginStaging(MoeOptions options, bool checksWay = false)
    {
        _root = StagingFolder.Of(options);
        _setting = options.PathOf(nameof(MoeOptions.StagingFolder));
        _checksWay = checksWay;
    }

    /// <summary>Copies to <c>root/id/hash</c>, and keeps the copy from being pruned until it is disposed.</summary>
    /// <param name="id">The plugin's id.</param>
    /// <param name="folder">Where it lies.</param>
    /// <param name="source">What was found there.</param>
    /// <exception cref="MoeException">
    /// The folder holds a link, changed while it was copied, or the copy cannot be written; or another user could change the copy.
    /// </exception>
    public StagedPlugin Stage(string id, string folder, PluginContent source)
    {
        try
        {
            (string root, string parent) = Prepare(id);
            return FindReadOnly(root, parent, source.Hash) ?? Stage(root, parent, folder, source);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new MoeException(
                MoeReason.NotFound,
                $"{folder} could not be copied to {_root}: {exception.Message.TrimEnd('.')}. "
                + $"Set {_setting} to a folder that this user can write, or that holds the copy already.",
                exception);
        }
    }

    /// <summary>Makes the staging folder and a plugin's own in it, and checks that no other user can change what is in them.</summary>
    /// <returns>Both folders, without links on the way to them where that was checked.</returns>
    private (string Root, string Parent) Prepare(string id)
    {
        try
        {
            PrivateFolder.Create(_root);
            string root = _checksWay ? WriteAccess.Resolve(_root) : _root;
            string parent = Path.Combine(root, id);
            PrivateFolder.Create(parent);
            return (root, parent);
        }
        catch (MoeException exception)
        {
            throw new MoeException(
                exception.Reason,
                $"Copies in {_root} {(exception.Reason == MoeReason.Trust ? "are not safe from other users" : "cannot be made")}: {exception.Message} "
                + $"Set {_setting} to a folder {(exception.Reason == MoeReason.Trust ? "that is" : "of this user's")}.",
                exception);
        }
    }

    // Where nobody can write, nobody prunes: what is there is used as it is.
    private static StagedPlugin? FindReadOnly(string root, string parent, string hash)
    {
        string target = Path.Combine(parent, hash);
        return Directory.Exists(target) && !CanWrite(root) && Read(target) is { } content && content.Hash == hash
            ? new StagedPlugin(target, content, use: null)
            : null;
    }

    private static bool CanWrite(string root)
    {
        try
        {
            using FileLock? tried = FileLock.TryTake(Path.Combine(root, LockName));
            return true;
        }
        catch (Exception exception) when (FileLock.IsUnwritable(exception))
        {
            return false;
        }
    }

    private static StagedPlugin Stage(string root, string parent, string folder, PluginContent source)
    {
        using FileLock turn = FileLock.Take(Path.Combine(root, LockName), Patience);
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

    private static PluginContent? Reuse(string target, string hash)
    {
        if (!Path.Exists(target))
        {
            return null;
        }

        if (Read(target) is { } content && content.Hash == hash)
        {
            MoeTelemetry.CacheHit("staging");
            return content;
        }

        // Damaged or tampered with. Moved, not deleted: another process may have it loaded.
        Directory.Move(target, Path.Combine(Path.GetDirectoryName(target)!, $"{StagedCopies.DamagedPrefix}{hash}-{Guid.NewGuid():N}"));
        return null;
    }

    // A copy in which another user can write, or that holds anything but files, is none.
    private static PluginContent? Read(string target)
    {
        try
        {
            WriteAccess.Check(target);
            WriteAccess.CheckWithin(target);
            return PluginContent.Read(target);
        }
        catch (MoeException)
        {
            return null;
        }
    }

    private static PluginContent CopyTo(string target, string folder, PluginContent source)
    {
        string copy = Path.Combine(Path.GetDirectoryName(target)!, $"{StagedCopies.CopyingPrefix}{Guid.NewGuid():N}");
        try
        {
            PrivateFolder.Create(copy);
            PluginContent content = PluginContent.Copy(folder, copy);
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
}
