namespace Moe.Plugins.GptOss;

/// <summary>A text's keys and values in the processor's memory: pages for each layer.</summary>
internal sealed class CachePages : IKeyValueCache
{
    private readonly List<CachePage>[] _layers;
    private readonly int _heads;
    private readonly int _rowBytes;

    public CachePages(GptOssConfig config, MoeElementType type)
    {
        Type = type;
        _heads = config.KeyValueHeadCount;
        _rowBytes = CacheRow.Width(config.HeadSize) * type.ByteSize();
        _layers = [.. config.IsSliding.Select(_ => new List<CachePage>())];
    }

    public MoeElementType Type { get; }

    public long ByteCount => _layers.Sum(pages => pages.Count) * CachePage.ByteCountOf(_heads, _rowBytes);

    public CachePage Page(int layer, int page) => _layers[layer][page];

    public void Reserve(int positions)
    {
        foreach (List<CachePage> pages in _layers)
        {
            while (pages.Count * CachePage.Positions < positions)
            {
                pages.Add(new CachePage(_heads, _rowBytes));
            }
        }
    }

    public void Dispose()
    {
        foreach (List<CachePage> pages in _layers)
        {
            pages.ForEach(page => page.Dispose());
            pages.Clear();
        }
    }
}
