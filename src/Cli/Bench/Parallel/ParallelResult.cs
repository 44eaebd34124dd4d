using System.Text.Json.Serialization;

namespace Moe.Plugins.Cli;

/// <summary>What one run of `moe bench parallel` measured: the JSON file that it writes.</summary>
internal sealed record ParallelResult
{
    /// <summary>When the run began, ISO 8601 in UTC.</summary>
    public required string Date { get; init; }

    /// <summary>The first device's own name.</summary>
    public required string Device { get; init; }

    public string? Driver { get; init; }

    public required int Ranks { get; init; }

    /// <summary>Columns of what is summed.</summary>
    public required int Width { get; init; }

    public required int Seed { get; init; }

    /// <summary>Version of this program.</summary>
    public required string Version { get; init; }

    public List<ReductionRow> Reductions { get; init; } = [];

    public List<LayerRow> Layers { get; init; } = [];

    public List<ExchangeRow> Exchanges { get; init; } = [];

    /// <summary>What could not be measured, and why.</summary>
    public List<string> Notes { get; init; } = [];

    /// <summary>Whether something failed that was to be measured.</summary>
    [JsonIgnore]
    public bool HasFailed { get; set; }

    /// <summary>The date without the time.</summary>
    [JsonIgnore]
    public string Day => RunStamp.Day(Date);

    /// <summary>Whether a file is such a result: only it has reductions.</summary>
    public static bool IsIn(string path) => !BenchJson.Lacks(path, "reductions");

    /// <summary>Reads a file that <see cref="Save"/> wrote.</summary>
    /// <exception cref="MoeException">It is not there, or is none.</exception>
    public static ParallelResult Load(string path) => BenchJson.Load<ParallelResult>(path, "a result of `moe bench parallel --output`");

    /// <summary>Writes the file anew.</summary>
    /// <exception cref="MoeException">It cannot be written.</exception>
    public void Save(string path) => BenchJson.Save(path, this);
}
