namespace Moe.Plugins;

/// <summary>
/// Deletes the private copies of a plugin that nobody uses. Every process that has a copy loaded holds the file <c>hash.use</c> beside it
/// open; this runs while the staging area's own lock is held, so that nobody begins to use a copy meanwhile.
/// </summary>
internal static class StagedCopies
{
    /// <summary>Copies that are kept though nobody uses them: programs that start in turn with different versions need not copy each time.</summary>
    public const int Kept = 2;

    public const string UseExtension = ".use";
    public const string CopyingPrefix = "copying-";
    public const string DamagedPrefix = "damaged-";

    public static void Prune(string parent)
    {
        foreach (string folder in Directory.GetDirectories(parent, CopyingPrefix + "*"))
        {
            // Whoever was copying would hold the lock: it ended before it was done.
            Delete(folder);
        }

        string[] unused =
        [
            .. new DirectoryInfo(parent).GetFiles("*" + UseExtension)
                .OrderByDescending(static use => use.LastWriteTimeUtc)
                .Select(static use => use.FullName)
                .Where(static use => !IsInUse(use))
                .Skip(Kept),
        ];
        foreach (string use in unused)
        {
            string copy = Path.ChangeExtension(use, null);
            Delete(copy);
            foreach (string damaged in Directory.GetDirectories(parent, $"{DamagedPrefix}{Path.GetFileName(copy)}-*"))
            {
                Delete(damaged);
            }

            if (!Directory.Exists(copy))
            {
                File.Delete(use);
            }
        }
    }

    private static bool IsInUse(string use)
    {
        using FileLock? alone = FileLock.TryTakeExisting(use);
        return alone is null;
    }

    private static void Delete(string folder)
    {
        try
        {
            if (Directory.Exists(folder))
            {
                Directory.Delete(folder, recursive: true);
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // A copy too many is no reason to fail; the next to come tries again.
        }
    }
}
