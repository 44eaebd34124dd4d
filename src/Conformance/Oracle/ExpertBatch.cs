namespace Moe.Plugins.Conformance;

/// <summary>All tokens that visit one expert, so that its weights are dequantised once for all of them.</summary>
/// <param name="Expert">The expert, counted among those of the layer's part.</param>
/// <param name="FirstVisit">How many visits come before, at other experts.</param>
/// <param name="Visits">The tokens.</param>
internal sealed record ExpertBatch(int Expert, int FirstVisit, IReadOnlyList<ExpertVisit> Visits)
{
    /// <summary>Batches of the experts that any token visits, in order of their ids.</summary>
    public static List<ExpertBatch> Group(OracleRouting routing, int tokens, MoeLayerShape shape)
    {
        var visits = new List<ExpertVisit>[shape.LocalExpertCount];
        for (int token = 0; token < tokens; token++)
        {
            ReadOnlySpan<int> ids = routing.Ids(token).Span;
            for (int k = 0; k < ids.Length; k++)
            {
                // Of a part, only the experts that it has.
                int local = ids[k] - shape.FirstExpert;
                if (local >= 0 && local < visits.Length)
                {
                    (visits[local] ??= []).Add(new ExpertVisit(token, routing.Weights(token).Span[k]));
                }
            }
        }

        var batches = new List<ExpertBatch>();
        int before = 0;
        for (int expert = 0; expert < visits.Length; expert++)
        {
            if (visits[expert] is List<ExpertVisit> own)
            {
                batches.Add(new ExpertBatch(expert, before, own));
                before += own.Count;
            }
        }

        return batches;
    }
}
