namespace Moe.Plugins.GptOss;

/// <summary>Tells how far loading is, by bytes.</summary>
internal sealed class LoadProgress(IProgress<double>? progress, long ownBytes, long[] expertBytes)
{
    private readonly double _total = ownBytes + expertBytes.Sum();
    private long _loaded;

    public void Add(long bytes)
    {
        _loaded += bytes;
        progress?.Report(Math.Min(1, _loaded / _total));
    }
}
