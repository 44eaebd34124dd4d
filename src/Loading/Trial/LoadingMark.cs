namespace Moe.Plugins;

/// <summary>
/// A file that says that a plugin is being activated. Its lock goes with the process: a mark that nobody holds is one whose process
/// ended before the plugin's code returned.
/// </summary>
internal sealed class LoadingMark : IDisposable
{
    private readonly string _path;
    private readonly FileLock? _lock;

    private LoadingMark(string path, FileLock? held)
    {
        _path = path;
        _lock = held;
    }

    /// <summary>Makes a mark. Whoever sees it sees it locked: it gets its name only then.</summary>
    public static LoadingMark Make(string path)
    {
        // Windows locks a file as it makes it, and lets no open file be renamed.
        string fresh = OperatingSystem.IsWindows() ? path : path + VerdictStore.FreshExtension;
        FileLock? held = FileLock.TryTake(fresh);
        if (fresh != path)
        {
            File.Move(fresh, path);
        }

        return new LoadingMark(path, held);
    }

    public void Dispose()
    {
        if (OperatingSystem.IsWindows())
        {
            _lock?.Dispose();
            File.Delete(_path);
            return;
        }

        File.Delete(_path);
        _lock?.Dispose();
    }
}
