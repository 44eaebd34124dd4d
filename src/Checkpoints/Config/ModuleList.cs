using System.IO.Enumeration;
using System.Text.RegularExpressions;

namespace Moe.Plugins.Checkpoints;

/// <summary>
/// Names of modules as tools list them: whole names, of the module or one around it; <c>re:</c> and a regular expression that holds at the
/// start (vLLM, <c>compressed_tensors/utils.py</c>); patterns with <c>*</c> (Quark, ModelOpt).
/// </summary>
internal sealed class ModuleList(IEnumerable<string> entries)
{
    private const string RegexMark = "re:";

    private readonly string[] _entries = [.. entries];

    public bool Matches(string module) => _entries.Any(entry => Matches(entry, module));

    public static bool Matches(string entry, string module)
    {
        if (entry.StartsWith(RegexMark, StringComparison.Ordinal))
        {
            return MatchesRegex(entry[RegexMark.Length..], module);
        }

        return entry.Contains('*', StringComparison.Ordinal)
            ? FileSystemName.MatchesSimpleExpression(entry, module, ignoreCase: false)
            : module.StartsWith(entry, StringComparison.Ordinal) && (module.Length == entry.Length || module[entry.Length] == '.');
    }

    private static bool MatchesRegex(string pattern, string module)
    {
        try
        {
            // A stranger's expression: without backtracking no text takes it long.
            return Regex.IsMatch(module, $"^(?:{pattern})", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (Exception exception) when (exception is ArgumentException or NotSupportedException)
        {
            // Python's, or none at all. It only checks what the tensors say, and says nothing then.
            return false;
        }
    }
}
