using System.Text;

namespace Moe.Plugins.Cli;

/// <summary>The lines of a readme that a command writes.</summary>
internal static class ReadmeSection
{
    public const string Begin = "<!-- performance:begin -->";
    public const string End = "<!-- performance:end -->";

    /// <summary>Larger than any readme.</summary>
    private const long MostBytes = 64 << 20;

    /// <summary>Puts a text in the place of what stands between the two marks.</summary>
    /// <exception cref="MoeException">The file is not there or cannot be written, or the marks are not in it, once each and in order.</exception>
    public static void Replace(string path, string text)
    {
        string old = Encoding.UTF8.GetString(SmallFile.Read(path, MostBytes));
        (int from, int to) = Find(path, old);
        WholeFile.Write(path, $"{old[..from]}\n{text}{old[to..]}");
    }

    /// <summary>What stands between the two marks.</summary>
    /// <exception cref="MoeException">The marks are not in the text.</exception>
    public static string Read(string path)
    {
        string text = Encoding.UTF8.GetString(SmallFile.Read(path, MostBytes));
        (int from, int to) = Find(path, text);
        return text[(from + 1)..to];
    }

    private static (int From, int To) Find(string path, string text)
    {
        int from = text.IndexOf(Begin, StringComparison.Ordinal);
        int to = text.IndexOf(End, StringComparison.Ordinal);
        bool areUnique = from == text.LastIndexOf(Begin, StringComparison.Ordinal) && to == text.LastIndexOf(End, StringComparison.Ordinal);
        return from >= 0 && to > from && areUnique
            ? (from + Begin.Length, to)
            : throw new MoeException(MoeReason.Configuration, $"'{PlainText.Of(path)}' does not hold the lines {Begin} and {End}, once each and in this order.");
    }
}
