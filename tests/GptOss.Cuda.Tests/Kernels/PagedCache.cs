using Moe.Plugins.Tests;

namespace Moe.Plugins.GptOss.Cuda.Tests;

/// <summary>Texts' keys and values as the device has them, on the host, with pages in any order.</summary>
internal sealed class PagedCache
{
    private readonly int _heads;
    private readonly int _keyValueHeads;
    private readonly int _size;
    private readonly int _pagesOfText;
    private readonly ushort[] _memory;
    private readonly int[] _pages;
    private readonly nint[] _table;
    private readonly int _pageElements;

    public PagedCache(int heads, int keyValueHeads, int size, int layers, int texts, int positions)
    {
        _heads = heads;
        _keyValueHeads = keyValueHeads;
        _size = size;
        _pagesOfText = (positions + CachePool.PagePositions - 1) / CachePool.PagePositions;
        _pageElements = layers * LayerElements;
        _memory = Pinned.Make<ushort>(texts * _pagesOfText * _pageElements);
        _pages = [.. Enumerable.Range(0, texts * _pagesOfText)];
        new Random(3).Shuffle(_pages);
        _table = Pinned.Make(_pages.Length, i => Pinned.Address(_memory, _pages[i] * _pageElements));
    }

    public int GroupSize => _heads / _keyValueHeads;

    /// <summary>Elements that are not 0.</summary>
    public int WrittenCount => _memory.Count(value => value != 0);

    private int LayerElements => 2 * _keyValueHeads * CachePool.PagePositions * _size;

    public DeviceToken Token(int text, int position) => new(Pinned.Address(_table, text * _pagesOfText), Id: 0, position);

    public ModelKernels.CacheParameters Layer(int layer) => new() { First = (long)layer * LayerElements, Heads = _keyValueHeads, HeadSize = _size };

    public double Key(int layer, int text, int head, int position, int i) => BFloat16.ToSingle(_memory[KeyIndex(layer, text, head, position, i)]);

    public double Value(int layer, int text, int head, int position, int i) => BFloat16.ToSingle(_memory[ValueIndex(layer, text, head, position, i)]);

    /// <summary>A query head's attention to a text's positions up to one, in float64.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="text">The text.</param>
    /// <param name="position">The query's position.</param>
    /// <param name="window">Keys that it sees; 0 for all.</param>
    /// <param name="head">The query head.</param>
    /// <param name="query">The query.</param>
    /// <param name="sink">The head's sink.</param>
    public double[] Attend(int layer, int text, int position, int window, int head, ReadOnlySpan<ushort> query, float sink)
    {
        int group = head / GroupSize;
        double sum = Math.Exp(sink);
        double[] result = new double[_size];
        for (int key = window > 0 ? Math.Max(0, position - window + 1) : 0; key <= position; key++)
        {
            double score = 0;
            for (int i = 0; i < _size; i++)
            {
                score += BFloat16.ToSingle(query[i]) * Key(layer, text, group, key, i);
            }

            double weight = Math.Exp(score / Math.Sqrt(_size));
            sum += weight;
            for (int i = 0; i < _size; i++)
            {
                result[i] += weight * Value(layer, text, group, key, i);
            }
        }

        return [.. result.Select(value => value / sum)];
    }

    /// <summary>Fills a text's keys and values up to a position, and what is behind it with large numbers.</summary>
    public void Fill(int layer, int text, int last, Random random)
    {
        for (int position = 0; position < _pagesOfText * CachePool.PagePositions; position++)
        {
            for (int head = 0; head < _keyValueHeads; head++)
            {
                for (int i = 0; i < _size; i++)
                {
                    double range = position <= last ? 1 : 100;
                    _memory[KeyIndex(layer, text, head, position, i)] = BFloat16.FromDouble(range * ((2 * random.NextDouble()) - 1));
                    _memory[ValueIndex(layer, text, head, position, i)] = BFloat16.FromDouble(range * ((2 * random.NextDouble()) - 1));
                }
            }
        }
    }

    private int KeyIndex(int layer, int text, int head, int position, int i) =>
        Page(text, position) + (layer * LayerElements) + (((head * CachePool.PagePositions) + (position % CachePool.PagePositions)) * _size) + i;

    private int ValueIndex(int layer, int text, int head, int position, int i) =>
        Page(text, position) + (layer * LayerElements) + ((((_keyValueHeads + head) * _size) + i) * CachePool.PagePositions) + (position % CachePool.PagePositions);

    private int Page(int text, int position) => _pages[(text * _pagesOfText) + (position / CachePool.PagePositions)] * _pageElements;
}
