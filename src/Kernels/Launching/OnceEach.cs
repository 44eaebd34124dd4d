using System.Collections.Concurrent;

namespace Moe.Plugins.Kernels;

/// <summary>Makes one thing for each key, when it is first asked for. What fails is made again for the next who asks: memory may be free by then.</summary>
/// <remarks>Thread-safe.</remarks>
internal sealed class OnceEach<TKey, TValue>
    where TKey : notnull
{
    private readonly ConcurrentDictionary<TKey, Lazy<TValue>> _made = new();

    /// <summary>All that was made.</summary>
    public IEnumerable<TValue> Made => _made.Values.Where(static lazy => lazy.IsValueCreated).Select(static lazy => lazy.Value);

    public TValue GetOrMake(TKey key, Func<TKey, TValue> make)
    {
        Lazy<TValue> lazy = _made.GetOrAdd(key, _ => new Lazy<TValue>(() => make(key)));
        try
        {
            return lazy.Value;
        }
        catch
        {
            // It would throw the same for ever.
            _made.TryRemove(KeyValuePair.Create(key, lazy));
            throw;
        }
    }

    public void Clear() => _made.Clear();
}
