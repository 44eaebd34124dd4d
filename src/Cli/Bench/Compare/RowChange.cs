namespace Moe.Plugins.Cli;

/// <summary>One row of two results.</summary>
internal sealed record RowChange(BenchRow Before, BenchRow After)
{
    /// <summary>Microseconds more than before; NaN where one of the rows is wrong.</summary>
    public double Slower => (After.Microseconds ?? double.NaN) - (Before.Microseconds ?? double.NaN);

    /// <summary>What both rows spread by, in microseconds.</summary>
    public double Spread => (Before.Spread ?? 0) + (After.Spread ?? 0);

    /// <summary>Whether it became slower beyond the spread, or wrong.</summary>
    public bool IsRegression => (Before.Right && !After.Right) || Slower > Spread;

    /// <summary>Whether it became faster beyond the spread, or right.</summary>
    public bool IsImprovement => (!Before.Right && After.Right) || -Slower > Spread;

    /// <summary>That in a word.</summary>
    public string Verdict => IsRegression ? "worse" : IsImprovement ? "better" : "same";

    /// <summary>The rows that both results have, in the order of the second.</summary>
    public static IReadOnlyList<RowChange> Between(BenchResult before, BenchResult after)
    {
        var known = new Dictionary<(string, string, string, int), BenchRow>();
        foreach (BenchRow row in before.Rows)
        {
            known[row.Key] = row;
        }

        return [.. after.Rows.Where(row => known.ContainsKey(row.Key)).Select(row => new RowChange(known[row.Key], row))];
    }
}
