namespace Moe.Plugins.GptOss;

/// <summary>Tells how far loading is, by bytes. Thread-safe: tells one number after another, each at least the one before.</summary>
internal sealed class LoadProgress(IProgress<double>? progress, long ownBytes, long[] expertBytes)
{
    private readonly double _total = ownBytes + expertBytes.Sum();
    private readonly Lock _telling = new();
    private long _loaded;

    public void Add(long bytes)
    {
        // Counted and told at once: a thread that had counted could tell its number behind another's that is larger.
        lock (_telling)
        {
            _loaded += bytes;
            progress?.Report(Math.Min(1, _loaded / _total));
        }
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
