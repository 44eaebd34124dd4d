namespace Moe.Plugins.Cli;

/// <summary>What `moe bench model --experiment` measured: a whole model over several GPUs, its expert layers in each of the ways.</summary>
internal sealed record ExperimentResult
{
    public required string Date { get; init; }

    public required string Version { get; init; }

    /// <summary>A rank's device.</summary>
    public required string Device { get; init; }

    public required int Ranks { get; init; }

    /// <summary>The name of the model's folder, and how many layers it has.</summary>
    public required string Model { get; init; }

    /// <summary>The backend of the expert layers.</summary>
    public required string Experts { get; init; }

    public List<ExperimentRow> Steps { get; init; } = [];

    /// <summary>Whether a file is such a result: only it has steps.</summary>
    public static bool IsIn(string path) => !BenchJson.Lacks(path, "steps");

    /// <summary>Reads what `moe bench model --experiment` wrote.</summary>
    /// <exception cref="MoeException">The file is not there, or is none.</exception>
    public static ExperimentResult Load(string path) => BenchJson.Load<ExperimentResult>(path, "a result of `moe bench model --experiment --output`");
}

/// <summary>Steps of some sequences at once, each of which gets one more token.</summary>
internal sealed record ExperimentRow
{
    /// <summary>Sequences.</summary>
    public required int Batch { get; init; }

    /// <summary>Positions that each has before.</summary>
    public required int Context { get; init; }

    /// <summary>Around every expert layer: pad, forward, all-reduce as wide as padded, slice, add and norm; null where the backend pads nothing.</summary>
    public ExperimentSide? Padded { get; init; }

    /// <summary>Forward without padding, all-reduce, add and norm.</summary>
    public required ExperimentSide Skipping { get; init; }

    /// <summary>Forward without padding, and one kernel that reduces, adds and norms.</summary>
    public required ExperimentSide Fused { get; init; }

    /// <summary>Timed steps of each way.</summary>
    public required int Replays { get; init; }

    /// <summary>How many more tokens a second a side has than the padded way, or than the skipping one, as a share.</summary>
    internal double Gain(ExperimentSide side) => ((Padded ?? Skipping).Milliseconds / side.Milliseconds) - 1;
}

/// <summary>One of the ways.</summary>
/// <param name="Milliseconds">The median time of a step.</param>
/// <param name="Spread">Half of what lies between the quartiles.</param>
/// <param name="TokensPerSecond">Of all sequences together.</param>
internal sealed record ExperimentSide(double Milliseconds, double Spread, double TokensPerSecond);
