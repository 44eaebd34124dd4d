namespace Moe.Plugins;

/// <summary>
/// A lock that other processes see, and that the system lets go when its process ends, however it does: an open file, which on Unix is an
/// advisory <c>flock(2)</c> and on Windows a sharing mode.
/// </summary>
internal sealed class FileLock : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(10);

    private readonly FileStream _file;

    private FileLock(FileStream file) => _file = file;

    /// <summary>Takes the lock as one of many; null where somebody has it alone.</summary>
    public static FileLock? TryShare(string path) => TryOpen(path, FileAccess.Read, FileShare.Read);

    /// <summary>Takes the lock alone; null where anybody has it.</summary>
    public static FileLock? TryTake(string path) => TryOpen(path, FileAccess.ReadWrite, FileShare.None);

    /// <summary>Waits for the lock.</summary>
    /// <exception cref="MoeException">Another process has kept it for all of <paramref name="patience"/>.</exception>
    public static FileLock Take(string path, TimeSpan patience)
    {
        long end = Environment.TickCount64 + (long)patience.TotalMilliseconds;
        while (true)
        {
            if (TryTake(path) is { } taken)
            {
                return taken;
            }

            if (Environment.TickCount64 > end)
            {
                throw new MoeException(MoeReason.TimedOut, $"Another process has kept {path} locked for {patience.TotalSeconds:0} s.");
            }

            Thread.Sleep(Pause);
        }
    }

    public void Dispose() => _file.Dispose();

    private static FileLock? TryOpen(string path, FileAccess access, FileShare share)
    {
        try
        {
            return new FileLock(new FileStream(path, FileMode.OpenOrCreate, access, share));
        }
        catch (IOException) when (File.Exists(path))
        {
            return null;
        }
    }
}
