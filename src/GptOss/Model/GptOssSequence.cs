namespace Moe.Plugins.GptOss;

/// <summary>A text that a model has read so far: the keys and values of its tokens. Made by <see cref="GptOssModel.CreateSequence"/>.</summary>
/// <remarks>Grows as tokens come, up to the model's limit. One forward at a time; dispose it when the text is no longer needed.</remarks>
public sealed class GptOssSequence : IDisposable
{
    private bool _isDisposed;

    internal GptOssSequence(GptOssModel model, IKeyValueCache cache)
    {
        Model = model;
        Cache = cache;
    }

    /// <summary>Tokens that it holds, and so the position of the next one.</summary>
    public int Length { get; internal set; }

    /// <summary>The most tokens that it can hold.</summary>
    public int MaxLength => Model.MaxContext;

    /// <summary>Bytes that its keys and values take now.</summary>
    public long ByteCount => Cache.ByteCount;

    internal GptOssModel Model { get; }

    internal IKeyValueCache Cache { get; }

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
        Cache.Dispose();
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

        Cache.Reserve(length);
    }
}
