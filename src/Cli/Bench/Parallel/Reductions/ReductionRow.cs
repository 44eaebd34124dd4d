namespace Moe.Plugins.Cli;

/// <summary>One way to reduce one number of tokens. The names are those of the JSON file, in snake_case.</summary>
internal sealed record ReductionRow
{
    /// <summary>The plugin of the group.</summary>
    public required string Group { get; init; }

    /// <summary>Its setting Plan; null for its own choice.</summary>
    public string? Plan { get; init; }

    public required int Tokens { get; init; }

    /// <summary>Median of the slowest rank's time for the sum, the residual and the norm; null where the result is wrong.</summary>
    public double? Microseconds { get; init; }

    /// <summary>Half of what lies between the 10th and the 90th percentile of the times, in microseconds.</summary>
    public double? Spread { get; init; }

    /// <summary>Kernels of a rank; 0 where the device has none.</summary>
    public int Kernels { get; init; }

    /// <summary>Timed replays.</summary>
    public int Replays { get; init; }

    /// <summary>Dependent rounds of a replay.</summary>
    public int Rounds { get; init; }

    /// <summary>Of the normed sums against float64, on a sample of the rows; null where it is infinite or NaN.</summary>
    public double? RelativeError { get; init; }

    /// <summary>Whether that is right, and all ranks hold the same bits. A row that is not has no time.</summary>
    public required bool Right { get; init; }
}
