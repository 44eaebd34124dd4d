namespace Moe.Plugins.GptOss;

/// <summary>Tells how far loading is, by bytes. Thread-safe.</summary>
internal sealed class LoadProgress(IProgress<double>? progress, long ownBytes, long[] expertBytes)
{
    private readonly double _total = ownBytes + expertBytes.Sum();
    private long _loaded;

    public void Add(long bytes)
    {
        long loaded = Interlocked.Add(ref _loaded, bytes);
        progress?.Report(Math.Min(1, loaded / _total));
    }
}
