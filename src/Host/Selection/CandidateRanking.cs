namespace Moe.Plugins;

/// <summary>
/// The order of <c>auto</c>: the configured order, then the score, then the id. Never the order of loading. Candidates that cannot run
/// the layer come after those that can.
/// </summary>
internal static class CandidateRanking
{
    public static IReadOnlyList<MoeCandidate> Rank(IEnumerable<MoeCandidate> candidates, IList<string> order) =>
    [
        .. candidates
            .OrderByDescending(c => c.IsEligible)
            .ThenBy(c => PlaceIn(order, c.Id))
            .ThenByDescending(c => c.Score ?? int.MinValue)
            .ThenBy(c => c.Id, StringComparer.OrdinalIgnoreCase)
            .ThenBy(c => c.Path, StringComparer.Ordinal),
    ];

    /// <summary>The ids of the configured order that come before <paramref name="id"/>; all of them if it is not in the order.</summary>
    public static IEnumerable<string> Before(IList<string> order, string id) => order.Take(PlaceIn(order, id));

    private static int PlaceIn(IList<string> order, string id)
    {
        for (int i = 0; i < order.Count; i++)
        {
            if (order[i].Equals(id, StringComparison.OrdinalIgnoreCase))
            {
                return i;
            }
        }

        return order.Count;
    }
}
