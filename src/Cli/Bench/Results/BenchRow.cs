namespace Moe.Plugins.Cli;

/// <summary>One backend on one shape with one number of tokens. The names are those of the JSON file, in snake_case.</summary>
internal sealed record BenchRow
{
    public required string Backend { get; init; }

    /// <summary>gpt-oss-20b, or E,H,I,K.</summary>
    public required string Shape { get; init; }

    /// <summary>Format of the weights that the backend was given, and that the floor is of.</summary>
    public required string Weights { get; init; }

    public required int Tokens { get; init; }

    /// <summary>Median time of a whole forward; null where the result is wrong.</summary>
    public double? Microseconds { get; init; }

    /// <summary>Half of what lies between the 10th and the 90th percentile of the times, in microseconds.</summary>
    public double? Spread { get; init; }

    /// <summary>What the ceilings of the same run allow at best.</summary>
    public required double FloorMicroseconds { get; init; }

    /// <summary>Whether the experts' products multiplied FP8 numbers, whose rate the floor is of then.</summary>
    public bool Fp8 { get; init; }

    /// <summary>Time divided by floor.</summary>
    public double? RatioToFloor { get; init; }

    /// <summary>Bytes of the distinct experts that were hit, in 10⁹ a second.</summary>
    public double? Gbps { get; init; }

    /// <summary>Operations of the experts' products, in 10¹² a second.</summary>
    public double? Tflops { get; init; }

    /// <summary>Kernels of one forward; 0 where the device has none.</summary>
    public required int Kernels { get; init; }

    /// <summary>Bytes on the device, padding included.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>Bytes on the device, for the most tokens of the run.</summary>
    public required long WorkspaceBytes { get; init; }

    /// <summary>Against float64, on a sample of the tokens; null where it is infinite or NaN.</summary>
    public double? RelativeError { get; init; }

    /// <summary>The error that the backend promises to stay below.</summary>
    public required double RelativeErrorLimit { get; init; }

    /// <summary>Whether error and routing are right. A row that is not has no times.</summary>
    public required bool Right { get; init; }

    /// <summary>Experts that a forward went to, as the device chose them, the mean over its inputs.</summary>
    public required double DistinctExperts { get; init; }

    /// <summary>Timed replays, each of some forwards.</summary>
    public int Replays { get; init; }

    /// <summary>What held the device back while the row was measured, such as the ordinary power cap; null for nothing.</summary>
    public string? Throttle { get; init; }

    /// <summary>What makes two rows comparable.</summary>
    internal (string Backend, string Shape, string Weights, int Tokens) Key => (Backend, Shape, Weights, Tokens);
}
