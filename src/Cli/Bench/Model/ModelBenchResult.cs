namespace Moe.Plugins.Cli;

/// <summary>What `moe bench model` measured.</summary>
internal sealed record ModelBenchResult
{
    public required string Date { get; init; }

    public required string Version { get; init; }

    /// <summary>What it ran on.</summary>
    public required string Device { get; init; }

    /// <summary>The model's folder's name, its layers and bytes of weights.</summary>
    public required string Model { get; init; }

    /// <summary>Which backends run how many layers of experts.</summary>
    public required string Experts { get; init; }

    public required string Types { get; init; }

    /// <summary>What loading took; null in results of before it was noted.</summary>
    public double? LoadSeconds { get; init; }

    public List<ModelBenchRow> Rows { get; init; } = [];

    /// <summary>Whether a file is such a result: only it has types.</summary>
    public static bool IsIn(string path) => !BenchJson.Lacks(path, "types");

    /// <summary>Reads what `moe bench model` wrote.</summary>
    /// <exception cref="MoeException">The file is not there, or is none.</exception>
    public static ModelBenchResult Load(string path) => BenchJson.Load<ModelBenchResult>(path, "a result of `moe bench model --output`");
}
