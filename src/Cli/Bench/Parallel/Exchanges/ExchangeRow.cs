namespace Moe.Plugins.Cli;

/// <summary>What it takes to bring all ranks' tokens to every rank, and each rank's sums back. The names are those of the JSON file, in snake_case.</summary>
internal sealed record ExchangeRow
{
    /// <summary>The plugin of the group.</summary>
    public required string Group { get; init; }

    /// <summary>Its setting Plan; null for its own choice.</summary>
    public string? Plan { get; init; }

    /// <summary>Of all ranks together; each brings its share.</summary>
    public required int Tokens { get; init; }

    /// <summary>Median of the slowest rank's time for the gathering of tokens; null where a result is wrong.</summary>
    public double? GatherMicroseconds { get; init; }

    /// <summary>As <see cref="GatherMicroseconds"/>, for the sums over the ranks, of which each gets those of its own tokens.</summary>
    public double? ScatterMicroseconds { get; init; }

    /// <summary>
    /// As <see cref="GatherMicroseconds"/>, where the group is told of each token which 4 of 128 experts it goes to, any with equal chance, and may leave out rows.
    /// </summary>
    public double? ChosenGatherMicroseconds { get; init; }

    /// <summary>As <see cref="ScatterMicroseconds"/>, of the same tokens.</summary>
    public double? ChosenScatterMicroseconds { get; init; }

    /// <summary>Share of the rows' ways to other ranks that lead to none of their experts.</summary>
    public double LeftOut { get; init; }

    /// <summary>Timed replays of each.</summary>
    public int Replays { get; init; }

    /// <summary>Dependent rounds of a replay.</summary>
    public int Rounds { get; init; }

    /// <summary>Whether all ranks hold just the tokens that were brought, and sums that are right. A row that is not has no time.</summary>
    public required bool Right { get; init; }
}
