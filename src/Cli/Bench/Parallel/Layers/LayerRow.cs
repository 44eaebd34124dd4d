namespace Moe.Plugins.Cli;

/// <summary>A layer over the ranks of a group, up to the norm behind it, the three ways. The names are those of the JSON file, in snake_case.</summary>
internal sealed record LayerRow
{
    public required string Backend { get; init; }

    /// <summary>gpt-oss-20b, or E,H,I,K.</summary>
    public required string Shape { get; init; }

    /// <summary>tensor or expert: what the ranks share.</summary>
    public required string Split { get; init; }

    public required int Tokens { get; init; }

    /// <summary>Pad, forward, all-reduce as wide as padded, slice, add and norm; null where the backend pads nothing.</summary>
    public LayerSide? Padded { get; init; }

    /// <summary>Forward without padding, all-reduce, add and norm.</summary>
    public LayerSide? Skipping { get; init; }

    /// <summary>Forward without padding, and one kernel that reduces, adds and norms.</summary>
    public LayerSide? Fused { get; init; }

    /// <summary>Of the summed output against float64, on a sample of the tokens; null where it is infinite or NaN.</summary>
    public double? RelativeError { get; init; }

    /// <summary>Whether that is right, all ways' normed results are, and all ranks hold the same bits. A row that is not has no times.</summary>
    public required bool Right { get; init; }

    /// <summary>Timed replays of each way.</summary>
    public int Replays { get; init; }

    /// <summary>What the fused way saves as a share of the padded way's time, or of the skipping one's.</summary>
    internal double? SavedShare => 1 - (Fused?.Microseconds / (Padded ?? Skipping)?.Microseconds);
}

/// <summary>One of the ways. The names are those of the JSON file, in snake_case.</summary>
/// <param name="Microseconds">The slowest rank's median time of a layer.</param>
/// <param name="Spread">Half of what lies between the 10th and the 90th percentile.</param>
/// <param name="Kernels">Kernels of a layer on a rank; 0 where the device has none.</param>
internal sealed record LayerSide(double Microseconds, double Spread, int Kernels);
