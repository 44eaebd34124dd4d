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

    /// <summary>What loads a part of so many bytes is to tell, from one thread at a time.</summary>
    public IProgress<double> Of(long bytes) => new Part(this, bytes);

    private sealed class Part(LoadProgress whole, long bytes) : IProgress<double>
    {
        private long _told;

        public void Report(double value)
        {
            long loaded = (long)(Math.Clamp(value, 0, 1) * bytes);
            whole.Add(loaded - _told);
            _told = loaded;
        }
    }
}
