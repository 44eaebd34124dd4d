using System.Text.Json.Serialization;

namespace Moe.Plugins.Cli;

/// <summary>One measurement of a whole model.</summary>
internal sealed record ModelBenchRow
{
    public const string Prefill = "prefill";
    public const string Decode = "decode";

    /// <summary><see cref="Prefill"/>: a prompt is read. <see cref="Decode"/>: each sequence of a batch gets one more token.</summary>
    public required string Phase { get; init; }

    /// <summary>Sequences.</summary>
    public required int Batch { get; init; }

    /// <summary>Positions that each has before.</summary>
    public required int Context { get; init; }

    /// <summary>Tokens that each brings.</summary>
    public required int Tokens { get; init; }

    /// <summary>The median.</summary>
    public required double Milliseconds { get; init; }

    /// <summary>Half of what lies between the quartiles.</summary>
    public required double Spread { get; init; }

    public required int Replays { get; init; }

    /// <summary>Bytes that must be read; where ranks share the model, by each of them.</summary>
    public required double Bytes { get; init; }

    /// <summary>Operations that must be computed; where ranks share the model, by each of them.</summary>
    public required double Operations { get; init; }

    /// <summary>Read bandwidth, the mean of before and after the row; null where no one device computes it all.</summary>
    public double? ReadGbps { get; init; }

    /// <summary>Rate of multiplications and additions, the mean of before and after the row; null where no one device computes it all.</summary>
    public double? FmaGflops { get; init; }

    /// <summary>Who else used the processors meanwhile; null for nobody to speak of.</summary>
    public string? Throttle { get; init; }

    /// <summary>Of all sequences together.</summary>
    public double TokensPerSecond => Batch * Tokens / Milliseconds * 1e3;

    /// <summary>The larger of reading all bytes once and of computing all operations, at the measured rates.</summary>
    public double? FloorMilliseconds => ReadGbps is double read && FmaGflops is double rate ? Math.Max(Bytes / read, Operations / rate) / 1e6 : null;

    /// <summary>Whether reading is what bounds it.</summary>
    [JsonIgnore]
    public bool IsBoundByReading => Bytes / ReadGbps > Operations / FmaGflops;
}
