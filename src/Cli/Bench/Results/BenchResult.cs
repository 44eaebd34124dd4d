using System.Text.Json.Serialization;

namespace Moe.Plugins.Cli;

/// <summary>What one run of `moe bench` measured on one device: the JSON that it prints or writes and that the other commands read.</summary>
internal sealed record BenchResult
{
    /// <summary>When the run began, ISO 8601 in UTC.</summary>
    public required string Date { get; init; }

    /// <summary>The device's own name.</summary>
    public required string Device { get; init; }

    public string? Driver { get; init; }

    /// <summary>What held the device back at the ceilings, such as the ordinary power cap; null for nothing.</summary>
    public string? Throttle { get; init; }

    /// <summary>Bandwidth of a large copy, bytes read and written, in 10⁹ a second.</summary>
    public required double CopyGbps { get; init; }

    public required double ReadGbps { get; init; }

    /// <summary>Rate of a large matrix product, as <see cref="MatrixSource"/> says; null where nothing here computes one.</summary>
    public double? MatrixTflops { get; init; }

    public required string MatrixSource { get; init; }

    /// <summary>Rate of a large product of FP8 matrices, as <see cref="Fp8Source"/> says; null where nothing here computes one.</summary>
    public double? Fp8Tflops { get; init; }

    public string? Fp8Source { get; init; }

    /// <summary>Which bandwidth floors are of: <c>copy</c> on a GPU, <c>read</c> on a CPU.</summary>
    public required string FloorBandwidth { get; init; }

    /// <summary><c>uniform</c>, <c>skewed</c> or the name of a file.</summary>
    public required string Routing { get; init; }

    public required int Seed { get; init; }

    /// <summary>Milliseconds without work before each replay; 0 for a device under load.</summary>
    public int Rest { get; init; }

    /// <summary>Version of this program.</summary>
    public required string Version { get; init; }

    public List<BenchRow> Rows { get; init; } = [];

    /// <summary>What went otherwise than it was asked for.</summary>
    public List<string> Notes { get; init; } = [];

    /// <summary>Backends that nobody named and that could not be measured, and why.</summary>
    public List<string> Skipped { get; init; } = [];

    /// <summary>Whether a backend failed; <see cref="Notes"/> say how.</summary>
    [JsonIgnore]
    public bool HasFailed { get; set; }

    /// <summary>The date without the time.</summary>
    [JsonIgnore]
    public string Day => RunStamp.Day(Date);

    /// <summary>Reads a file that <see cref="Save"/> wrote.</summary>
    /// <exception cref="MoeException">It is not there, or is none.</exception>
    public static BenchResult Load(string path) => BenchJson.Load<BenchResult>(path, "a result of `moe bench --output`");

    /// <summary>Writes the file anew: whoever reads it, or kills this program, finds whole rows.</summary>
    /// <exception cref="MoeException">It cannot be written.</exception>
    public void Save(string path) => BenchJson.Save(path, this);
}
