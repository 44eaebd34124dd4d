namespace Moe.Plugins.GptOss;

/// <summary>Looks for stop sequences in a text that comes in pieces. What may be the beginning of one is held back until it is known.</summary>
internal sealed class StopText
{
    private readonly string[] _stops;
    private string _held = "";

    /// <exception cref="MoeException">A sequence is empty.</exception>
    public StopText(IEnumerable<string>? stops)
    {
        _stops = [.. stops ?? []];
        if (_stops.Contains(""))
        {
            throw new MoeException(MoeReason.Configuration, "A stop sequence is empty; text is expected.");
        }
    }

    /// <summary>Whether a sequence has come; the text ends before it.</summary>
    public bool HasEnded { get; private set; }

    /// <summary>Takes the next piece.</summary>
    /// <returns>What can be said now; may be empty.</returns>
    public string Add(string? text)
    {
        if (HasEnded)
        {
            return "";
        }

        string all = _held + text;
        int end = _stops.Select(stop => all.IndexOf(stop, StringComparison.Ordinal)).Where(at => at >= 0).DefaultIfEmpty(-1).Min();
        HasEnded = end >= 0;
        int shown = HasEnded ? end : all.Length - HeldLength(all);
        _held = HasEnded ? "" : all[shown..];
        return all[..shown];
    }

    /// <summary>What was held back, once no more comes of the message.</summary>
    public string Flush()
    {
        string rest = _held;
        _held = "";
        return rest;
    }

    /// <summary>Length of the longest end of the text that a sequence begins with.</summary>
    private int HeldLength(string text)
    {
        for (int length = Math.Min(text.Length, _stops.Select(stop => stop.Length - 1).DefaultIfEmpty(0).Max()); length > 0; length--)
        {
            if (_stops.Any(stop => stop.AsSpan().StartsWith(text.AsSpan(text.Length - length))))
            {
                return length;
            }
        }

        return 0;
    }
}
