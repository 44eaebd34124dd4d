namespace Moe.Plugins.Cli;

/// <summary>One of the two ways in which a layer was run. The names are those of the JSON file, in snake_case.</summary>
internal sealed record PaddingSide
{
    /// <summary>Median time of a whole forward; null where the result is wrong.</summary>
    public double? Microseconds { get; init; }

    /// <summary>Half of what lies between the 10th and the 90th percentile of the times, in microseconds.</summary>
    public double? Spread { get; init; }

    /// <summary>Kernels of one forward; 0 where the device has none.</summary>
    public required int Kernels { get; init; }

    /// <summary>Bytes on the device, for the most tokens of the run.</summary>
    public required long WorkspaceBytes { get; init; }
}
