namespace Moe.Plugins;

/// <summary>
/// A file that says that a plugin is being activated. Its lock goes with the process: a mark that nobody holds is one whose process
/// ended before the plugin's code returned.
/// </summary>
internal sealed class LoadingMark(string path) : IDisposable
{
    private readonly FileLock? _lock = FileLock.TryTake(path);

    public void Dispose()
    {
        File.Delete(path);
        _lock?.Dispose();
    }
}
