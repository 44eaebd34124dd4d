namespace Moe.Plugins;

/// <summary>Which layers were asked for, so that a pattern that is meant for one of them and matches none can be told.</summary>
internal sealed class PatternUse(MoeOptions options)
{
    /// <summary>Names that are remembered: more than the layers of any model.</summary>
    private const int MaxNames = 10_000;

    private readonly Lock _lock = new();
    private readonly HashSet<string> _names = new(StringComparer.OrdinalIgnoreCase);
    private readonly HashSet<string> _matched = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Remembers a layer.</summary>
    public void Saw(string layer)
    {
        if (options.Layers.Count == 0 || layer.Length == 0)
        {
            return;
        }

        lock (_lock)
        {
            if (_names.Count < MaxNames && _names.Add(layer) && LayerPatterns.Match(options.Layers.Keys, layer) is { } pattern)
            {
                _matched.Add(pattern);
            }
        }
    }

    /// <summary>A sentence for each pattern that was never the one that counts; none where no layer with a name was asked for.</summary>
    public string[] DescribeUnused()
    {
        lock (_lock)
        {
            return _names.Count == 0
                ? []
                :
                [
                    .. options.Layers.Keys
                        .Where(pattern => !_matched.Contains(pattern))
                        .Select(pattern => $"{options.PathOf(nameof(MoeOptions.Layers), pattern)} was the pattern of none of the {_names.Count} layers "
                            + $"that were asked for.{DidYouMean.Ask(pattern, _names)}"),
                ];
        }
    }
}
