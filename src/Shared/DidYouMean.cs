namespace Moe.Plugins;

/// <summary>Finds the name that somebody probably meant.</summary>
internal static class DidYouMean
{
    /// <summary>Longer than any name; what is longer was not mistyped.</summary>
    private const int LongestName = 100;

    /// <summary>Returns <c> Did you mean 'X'?</c> with a leading space, or nothing if no name is near.</summary>
    public static string Ask(string wrong, IEnumerable<string> names) => Nearest(wrong, names) is string name ? $" Did you mean '{name}'?" : "";

    /// <summary>The name nearest to a wrong one; null if none is near.</summary>
    public static string? Nearest(string wrong, IEnumerable<string> names) => wrong.Length > LongestName ? null : names
        .Select(name => (Name: name, Distance: Distance(wrong, name)))
        .Where(n => n.Distance <= Math.Max(1, n.Name.Length / 3) || Contains(n.Name, wrong))
        .OrderBy(n => n.Distance)
        .ThenBy(n => n.Name, StringComparer.OrdinalIgnoreCase)
        .Select(n => n.Name)
        .FirstOrDefault();

    private static bool Contains(string name, string part) => part.Length >= 3 && name.Contains(part, StringComparison.OrdinalIgnoreCase);

    // Letters added, left out, replaced, or swapped with their neighbour (optimal string alignment), without regard to case.
    private static int Distance(string wrong, string right)
    {
        (string a, string b) = (wrong.ToUpperInvariant(), right.ToUpperInvariant());
        int[,] steps = new int[a.Length + 1, b.Length + 1];
        for (int i = 0; i <= a.Length; i++)
        {
            for (int j = 0; j <= b.Length; j++)
            {
                if (i == 0 || j == 0)
                {
                    steps[i, j] = i + j;
                    continue;
                }

                int replaced = steps[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
                int least = Math.Min(replaced, Math.Min(steps[i - 1, j], steps[i, j - 1]) + 1);
                bool isSwap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                steps[i, j] = isSwap ? Math.Min(least, steps[i - 2, j - 2] + 1) : least;
            }
        }

        return steps[a.Length, b.Length];
    }
}
