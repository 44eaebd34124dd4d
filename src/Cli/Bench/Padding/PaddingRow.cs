namespace Moe.Plugins.Cli;

/// <summary>One backend on one shape with one number of tokens, both ways. The names are those of the JSON file, in snake_case.</summary>
internal sealed record PaddingRow
{
    public required string Backend { get; init; }

    /// <summary>gpt-oss-20b, or E,H,I,K.</summary>
    public required string Shape { get; init; }

    public required int Tokens { get; init; }

    /// <summary>The host pads the input and slices the output.</summary>
    public required PaddingSide Padded { get; init; }

    /// <summary>The method takes and writes the caller's rows.</summary>
    public required PaddingSide Skipping { get; init; }

    /// <summary>Median of what skipping saved in each pair of replays; null where the result is wrong.</summary>
    public double? SavedMicroseconds { get; init; }

    /// <summary>Half of what lies between the 10th and the 90th percentile of that.</summary>
    public double? SavedSpread { get; init; }

    /// <summary>Bytes that the host's copies read and write in a forward.</summary>
    public required long SavedBytes { get; init; }

    /// <summary>Against float64, on a sample of the tokens; null where it is infinite or NaN.</summary>
    public double? RelativeError { get; init; }

    /// <summary>Whether error and routing are right, and both ways gave the same bits. A row that is not has no times.</summary>
    public required bool Right { get; init; }

    /// <summary>Timed pairs of replays, each of some forwards.</summary>
    public int Replays { get; init; }

    /// <summary>What held the device back while the row was measured, such as the ordinary power cap; null for nothing.</summary>
    public string? Throttle { get; init; }

    /// <summary>What is saved as a share of the time with padding; null where the result is wrong.</summary>
    internal double? SavedShare => SavedMicroseconds / Padded.Microseconds;
}
