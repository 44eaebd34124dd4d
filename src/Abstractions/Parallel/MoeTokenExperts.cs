namespace Moe.Plugins;

/// <summary>
/// Which experts the tokens of an exchange go to, and which ranks have those: a token's row need not travel between it and a rank that has none. The
/// default value says nothing, and every row goes everywhere. A group may always move all rows.
/// </summary>
public readonly struct MoeTokenExperts
{
    /// <summary>
    /// [tokens of all ranks, top-k] int32, any row stride, one rank's rows after another's: gathered before, so that all ranks hold the same. An id that is no expert's is
    /// nobody's.
    /// </summary>
    public required MoeTensorView Ids { get; init; }

    /// <summary>Experts of the whole layer.</summary>
    public required int ExpertCount { get; init; }

    /// <summary>Ranks that share each expert (<see cref="MoePart.TensorCount"/>), neighbours; it divides the group's ranks.</summary>
    public required int TensorCount { get; init; }

    /// <summary>Whether nothing is said: every row goes everywhere.</summary>
    public bool IsEmpty => Ids.IsEmpty;

    /// <summary>
    /// For who implements a communicator: experts of each rank but the last, which has the rest. Rank r of a group has those from
    /// r ÷ <see cref="TensorCount"/> × this on.
    /// </summary>
    /// <param name="ranks">Ranks of the group.</param>
    /// <exception cref="ArgumentOutOfRangeException">There are fewer ranks than share an expert, or none.</exception>
    public int ExpertsOfRank(int ranks)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(ranks, Math.Max(1, TensorCount));
        return MoePart.Range(ExpertCount, 1, 0, ranks / Math.Max(1, TensorCount)).Count;
    }
}
