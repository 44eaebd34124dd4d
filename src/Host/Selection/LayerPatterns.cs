using System.IO.Enumeration;

namespace Moe.Plugins;

/// <summary>
/// Finds the entry of <see cref="MoeOptions.Layers"/> that counts for a layer: the most specific pattern that matches. A name without
/// wildcards is the most specific; then the pattern with more characters that are no wildcards; then the one with fewer <c>*</c>; then the
/// first by ordinal. Case does not matter, as in all configuration.
/// </summary>
internal static class LayerPatterns
{
    public static string? Match(IEnumerable<string> patterns, string layer) =>
        patterns
            .Where(pattern => Matches(pattern, layer))
            .OrderByDescending(pattern => pattern.IndexOfAny(['*', '?']) < 0)
            .ThenByDescending(pattern => pattern.Count(c => c is not ('*' or '?')))
            .ThenBy(pattern => pattern.Count(c => c == '*'))
            .ThenBy(pattern => pattern, StringComparer.Ordinal)
            .FirstOrDefault();

    private static bool Matches(string pattern, string layer) => FileSystemName.MatchesSimpleExpression(pattern, layer, ignoreCase: true);
}
