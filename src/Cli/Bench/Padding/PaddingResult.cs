using System.Text.Json.Serialization;

namespace Moe.Plugins.Cli;

/// <summary>What one run of `moe bench padding` measured on one device: the JSON file that it writes.</summary>
internal sealed record PaddingResult
{
    /// <summary>When the run began, ISO 8601 in UTC.</summary>
    public required string Date { get; init; }

    /// <summary>The device's own name.</summary>
    public required string Device { get; init; }

    public string? Driver { get; init; }

    public required int Seed { get; init; }

    /// <summary>Version of this program.</summary>
    public required string Version { get; init; }

    public List<PaddingRow> Rows { get; init; } = [];

    /// <summary>The date without the time.</summary>
    [JsonIgnore]
    public string Day => RunStamp.Day(Date);

    /// <summary>Whether a file is rather this than a result of `moe bench`: it has no ceilings.</summary>
    public static bool IsIn(string path) => BenchJson.Lacks(path, "copy_gbps");

    /// <summary>Reads a file that <see cref="Save"/> wrote.</summary>
    /// <exception cref="MoeException">It is not there, or is none.</exception>
    public static PaddingResult Load(string path) => BenchJson.Load<PaddingResult>(path, "a result of `moe bench padding --output`");

    /// <summary>Writes the file anew.</summary>
    /// <exception cref="MoeException">It cannot be written.</exception>
    public void Save(string path) => BenchJson.Save(path, this);
}
