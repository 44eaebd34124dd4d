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

    /// <summary>A stranger's expression may take for ever; one that is meant takes microseconds.</summary>
    private static readonly TimeSpan LongestMatch = TimeSpan.FromMilliseconds(50);

    private readonly Entry[] _entries = [.. entries.Select(text => new Entry(text))];

    public bool Matches(string module) => _entries.Any(entry => entry.Matches(module));

    public static bool Matches(string entry, string module) => new Entry(entry).Matches(module);

    private sealed class Entry(string text)
    {
        private Regex? _regex;
        private bool _isUnusable;

        public bool Matches(string module)
        {
            if (text.StartsWith(RegexMark, StringComparison.Ordinal))
            {
                return !_isUnusable && MatchesRegex(module);
            }

            return text.Contains('*', StringComparison.Ordinal)
                ? FileSystemName.MatchesSimpleExpression(text, module, ignoreCase: false)
                : module.StartsWith(text, StringComparison.Ordinal) && (module.Length == text.Length || module[text.Length] == '.');
        }

        private bool MatchesRegex(string module)
        {
            try
            {
                _regex ??= new Regex($"^(?:{text[RegexMark.Length..]})", RegexOptions.CultureInvariant, LongestMatch);
                return _regex.IsMatch(module);
            }
            catch (Exception exception) when (exception is ArgumentException or RegexMatchTimeoutException)
            {
                // Python's, or none at all, or one without end. It only checks what the tensors say, and says nothing then.
                _isUnusable = true;
                return false;
            }
        }
    }
}
