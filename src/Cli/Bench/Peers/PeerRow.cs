namespace Moe.Plugins.Cli;

/// <summary>The peers' times for one batch.</summary>
internal sealed record PeerRow
{
    public required string Shape { get; init; }

    public required int Tokens { get; init; }

    /// <summary>Floor of MXFP4 weights, as published with the figures.</summary>
    public required double FloorMicroseconds { get; init; }

    /// <summary>By the peers' names; one that was not measured is left out.</summary>
    public required IReadOnlyDictionary<string, double> Microseconds { get; init; }
}
