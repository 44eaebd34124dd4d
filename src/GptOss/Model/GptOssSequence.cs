namespace Moe.Plugins.GptOss;

/// <summary>A text that a model has read so far: the keys and values of its tokens. Made by <see cref="GptOssModel.CreateSequence"/>.</summary>
/// <remarks>Grows as tokens come, up to the model's limit. One forward at a time; dispose it when the text is no longer needed.</remarks>
public sealed class GptOssSequence : IDisposable
{
    private readonly List<CachePage>[] _layers;
    private readonly int _heads;
    private readonly int _rowBytes;
    private bool _isDisposed;

    internal GptOssSequence(GptOssModel model, GptOssConfig config, GptOssOptions options)
    {
        Model = model;
        MaxLength = options.MaxContext;
        CacheType = options.CacheType;
        _heads = config.KeyValueHeadCount;
        _rowBytes = CacheRow.Width(config.HeadSize) * options.CacheType.ByteSize();
        _layers = [.. config.IsSliding.Select(_ => new List<CachePage>())];
    }

    /// <summary>Tokens that it holds, and so the position of the next one.</summary>
    public int Length { get; internal set; }

    /// <summary>The most tokens that it can hold.</summary>
    public int MaxLength { get; }

    /// <summary>Bytes that its keys and values take now.</summary>
    public long ByteCount => _layers.Sum(pages => pages.Count) * CachePage.ByteCountOf(_heads, _rowBytes);

    internal GptOssModel Model { get; }

    internal MoeElementType CacheType { get; }

    /// <summary>Forgets the tokens from <paramref name="length"/> on. The memory is kept for those to come.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is negative or more than <see cref="Length"/>.</exception>
    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length);
        Length = length;
    }

    /// <summary>Frees keys and values.</summary>
    public void Dispose()
    {
        _isDisposed = true;
        foreach (List<CachePage> pages in _layers)
        {
            pages.ForEach(page => page.Dispose());
            pages.Clear();
        }
    }

    /// <summary>Makes room for so many tokens in all.</summary>
    /// <exception cref="MoeException">They are more than the limit, or there is no memory for them.</exception>
    internal void Reserve(int length)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (length > MaxLength)
        {
            throw new MoeException(
                MoeReason.Configuration,
                $"The text has {length} tokens, {length - MaxLength} more than the context of {MaxLength} ({nameof(GptOssOptions)}.{nameof(GptOssOptions.MaxContext)}).");
        }

        foreach (List<CachePage> pages in _layers)
        {
            while (pages.Count * CachePage.Positions < length)
            {
                pages.Add(new CachePage(_heads, _rowBytes));
            }
        }
    }

    internal CachePage Page(int layer, int page) => _layers[layer][page];
}
