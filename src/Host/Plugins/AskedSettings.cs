using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace Moe.Plugins;

/// <summary>A plugin's settings, which remember what was asked for: only the plugin knows which there are, and nobody asks for a mistyped one.</summary>
internal sealed class AskedSettings(IReadOnlyDictionary<string, string> settings) : IReadOnlyDictionary<string, string>
{
    private readonly Lock _lock = new();
    private readonly HashSet<string> _asked = new(StringComparer.OrdinalIgnoreCase);
    private bool _hasListed;

    public int Count => settings.Count;

    public IEnumerable<string> Keys => Listed().Keys;

    public IEnumerable<string> Values => Listed().Values;

    public string this[string key] => settings[Ask(key)];

    /// <summary>The names that were asked for, whether they are there or not.</summary>
    public string[] Asked
    {
        get
        {
            lock (_lock)
            {
                return [.. _asked];
            }
        }
    }

    /// <summary>Whether a setting was asked for, or all were looked through.</summary>
    public bool Knows(string key)
    {
        lock (_lock)
        {
            return _hasListed || _asked.Contains(key);
        }
    }

    public bool ContainsKey(string key) => settings.ContainsKey(Ask(key));

    public bool TryGetValue(string key, [MaybeNullWhen(false)] out string value) => settings.TryGetValue(Ask(key), out value);

    public IEnumerator<KeyValuePair<string, string>> GetEnumerator() => Listed().GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    private string Ask(string key)
    {
        lock (_lock)
        {
            _asked.Add(key);
        }

        return key;
    }

    private IReadOnlyDictionary<string, string> Listed()
    {
        lock (_lock)
        {
            _hasListed = true;
        }

        return settings;
    }
}
