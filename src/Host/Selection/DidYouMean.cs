namespace Moe.Plugins;

/// <summary>Finds the name that somebody probably meant.</summary>
internal static class DidYouMean
{
    /// <summary>Returns <c> Did you mean 'X'?</c> with a leading space, or nothing if no name is near.</summary>
    public static string Ask(string wrong, IEnumerable<string> names)
    {
        string? nearest = names
            .Select(name => (Name: name, Distance: Distance(wrong, name)))
            .Where(n => n.Distance <= Math.Max(2, n.Name.Length / 3) || Contains(n.Name, wrong))
            .OrderBy(n => n.Distance)
            .ThenBy(n => n.Name, StringComparer.OrdinalIgnoreCase)
            .Select(n => n.Name)
            .FirstOrDefault();
        return nearest is null ? "" : $" Did you mean '{nearest}'?";
    }

    private static bool Contains(string name, string part) => part.Length >= 3 && name.Contains(part, StringComparison.OrdinalIgnoreCase);

    // Levenshtein's distance, case-insensitive, one row at a time.
    private static int Distance(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int replaced = diagonal + (char.ToUpperInvariant(a[i - 1]) == char.ToUpperInvariant(b[j - 1]) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(replaced, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[b.Length];
    }
}
